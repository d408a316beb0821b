"""For whoever runs the storefront: what browsers and shops send, and what pages are told."""

from deploy.grafana.parts import WINDOW, Board, Panel, Query, Row, each, per_minute, quantiles

EDGE = Board(
    "edge",
    "edge",
    "What browsers and shops send, how fast they are answered, and what pages are told.",
    (
        Row(
            "In",
            (
                Panel(
                    "Records a minute",
                    "Accepted ones Kafka has acknowledged; while unavailable rises it does not.",
                    (per_minute("cartwake_edge_events_total", "topic, outcome"),),
                    "cpm",
                ),
                Panel(
                    "Refused a minute",
                    "By reason; when one rises, ask what a shop changed last.",
                    (per_minute("cartwake_edge_refused_total", "reason"),),
                    "cpm",
                ),
                Panel(
                    "Answer",
                    "From a request's arrival to its answer, Kafka's word included. When it "
                    "grows, look at Kafka's produce latency.",
                    quantiles("cartwake_edge_answer_seconds"),
                    "s",
                ),
                Panel(
                    "Kafka acknowledges",
                    "1, or 0 while events are answered 503.",
                    each("cartwake_edge_kafka_up"),
                ),
            ),
        ),
        Row(
            "What came in",
            (
                Panel(
                    "Without a counterpart, a minute",
                    "Vendors' events by name; nothing is wrong with them, but nothing comes of "
                    "them.",
                    (per_minute("cartwake_edge_unmapped_total", "vendor, name"),),
                    "cpm",
                ),
                Panel(
                    "Fields that could not be read, a minute",
                    "By field; the events count without them. When one rises, ask what the sender "
                    "changed last.",
                    (per_minute("cartwake_edge_lost_fields_total", "source, field"),),
                    "cpm",
                ),
                Panel(
                    "Refusals that nobody hears, a minute",
                    "Categories of consent without a known purpose; name them in "
                    "edge.consent_categories.",
                    (per_minute("cartwake_edge_unheard_refusals_total", "vendor, category"),),
                    "cpm",
                ),
                Panel(
                    "Robots and wrong clocks, a minute",
                    "Robots are counted and ignored. Clocks wrong by more than five minutes are "
                    "corrected.",
                    (
                        Query(f"60 * sum(rate(cartwake_edge_bots_total[{WINDOW}]))", "robots"),
                        Query(
                            f"60 * sum(rate(cartwake_edge_skew_corrected_total[{WINDOW}]))",
                            "wrong clocks",
                        ),
                    ),
                    "cpm",
                ),
            ),
        ),
        Row(
            "Out",
            (
                Panel(
                    "Pages that wait",
                    "Open streams; beyond edge.max_streams a page is told to come back.",
                    each("cartwake_edge_streams"),
                ),
                Panel(
                    "Actions a minute",
                    "Sent, resent to a page that came back, expired or cancelled unseen, unheard "
                    "where no page waited.",
                    (per_minute("cartwake_edge_actions_total", "outcome"),),
                    "cpm",
                ),
                Panel(
                    "Unsubscribed in an hour",
                    "By a mail's link. When it jumps: what was sent last, and to how many?",
                    (Query("sum(increase(cartwake_edge_unsubscribed_total[1h]))", "withdrawals"),),
                ),
            ),
        ),
    ),
)
