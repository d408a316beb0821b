"""For whoever sends: what became of triggers by mail and by webhook, and what holds them up."""

from deploy.grafana.parts import Board, Panel, Query, Row, each, per_minute, quantiles

MAIL = '{channel="email"}'
SENT = 'cartwake_delivery_messages_total{channel="email", outcome="sent"}'

MAILS = Board(
    "mails",
    "e-mail",
    "What became of triggers by mail, and by webhook, and what holds them up.",
    (
        Row(
            "Mails",
            (
                Panel(
                    "Mails a minute",
                    "Sent, refused by the mail server for good, or skipped.",
                    (per_minute(f"cartwake_delivery_messages_total{MAIL}", "kind, outcome"),),
                    "cpm",
                ),
                Panel(
                    "Skipped a minute",
                    "By reason; when expired rises, mails are held up.",
                    (per_minute(f"cartwake_delivery_skipped_total{MAIL}", "reason"),),
                    "cpm",
                ),
                Panel(
                    "Put off, a minute",
                    "By why; in_doubt: workers lag, or a server is away.",
                    (per_minute(f"cartwake_delivery_postponed_total{MAIL}", "why"),),
                    "cpm",
                ),
            ),
        ),
        Row(
            "What waits",
            (
                Panel(
                    "Owed",
                    "Triggers and cancels still to be acted on, those in quiet hours included.",
                    each("cartwake_delivery_pending", "{{channel}}, {{instance}}"),
                ),
                Panel(
                    "The oldest that may go",
                    "For how long it waits. When it grows, the next hop or Kafka takes none.",
                    each("cartwake_delivery_oldest_owed_seconds", "{{channel}}, {{instance}}"),
                    "s",
                    limit=300,
                ),
            ),
        ),
        Row(
            "The next hop",
            (
                Panel(
                    "Mail server: time for a mail",
                    "When it grows, look there.",
                    quantiles("cartwake_delivery_send_seconds", MAIL),
                    "s",
                ),
                Panel(
                    "Mail server takes mails",
                    "1, or 0 while they wait for it; nothing before the first mail.",
                    each("cartwake_emailer_smtp_up"),
                ),
                Panel(
                    "Webhooks: requests a minute",
                    "By what the endpoint said: failed is tried again, refused is given up, gone "
                    "wants no more.",
                    (per_minute("cartwake_webhooks_attempts_total", "endpoint, outcome"),),
                    "cpm",
                ),
                Panel(
                    "Webhooks: cancels a minute",
                    "Of triggers that an endpoint had taken. When one is refused, somebody may act "
                    "who must not.",
                    (per_minute("cartwake_delivery_cancels_total", "channel, outcome"),),
                    "cpm",
                ),
                Panel(
                    "Unsubscribed, of mails sent in a day",
                    "More than one in twenty: what was sent, and to whom?",
                    (
                        Query(
                            "sum(increase(cartwake_edge_unsubscribed_total[1d]))"
                            f" / sum(increase({SENT}[1d]))",
                            "share",
                        ),
                    ),
                    "percentunit",
                    limit=0.05,
                ),
            ),
        ),
    ),
)
