"""For whoever sets thresholds: what is done, what is left undone, and why."""

from deploy.grafana.parts import WINDOW, Board, Panel, Query, Row, per_minute

DECIDED = "sum by (kind) (rate(cartwake_decisions_total[{window}]))"


def share(reason: str) -> Query:
    """Return which share of a kind's decisions had this reason."""
    of_all = DECIDED.format(window=WINDOW)
    had = f'sum by (kind) (rate(cartwake_decisions_total{{reason="{reason}"}}[{WINDOW}]))'
    return Query(f"{had} / {of_all}", "{{kind}}")


DECISIONS = Board(
    "decisions",
    "decisions",
    "What is fired and what is skipped, by reason; docs/operations.md has what to compare.",
    (
        Row(
            "Fired and skipped",
            (
                Panel(
                    "Fired a minute",
                    "By kind.",
                    (per_minute('cartwake_decisions_total{outcome="fired"}', "kind"),),
                    "cpm",
                ),
                Panel(
                    "Skipped a minute",
                    "By kind and reason; compare the reasons' shares with last week's.",
                    (per_minute('cartwake_decisions_total{outcome="skipped"}', "kind, reason"),),
                    "cpm",
                ),
                Panel(
                    "Exit signals with an empty cart, a minute",
                    "Nothing is decided about them. If almost all are, the page reports no carts.",
                    (
                        Query(
                            f"60 * sum(rate(cartwake_exits_without_cart_total[{WINDOW}]))",
                            "with an empty cart",
                        ),
                    ),
                    "cpm",
                ),
            ),
        ),
        Row(
            "Shares",
            (
                Panel(
                    "Fired, of all that was decided",
                    "A fall means that a reason has grown: see above which.",
                    (share("fired"),),
                    "percentunit",
                ),
                Panel(
                    "Held out, of all that was decided",
                    "Who is never messaged, to compare with. holdout.fraction of those who have "
                    "passed every other check.",
                    (share("holdout"),),
                    "percentunit",
                ),
                Panel(
                    "Reasons, last hour",
                    "How often each reason was the one that counted.",
                    (
                        Query(
                            "sum by (kind, reason) (increase(cartwake_decisions_total[1h]))",
                            "{{kind}} {{reason}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Consent",
            (
                Panel(
                    "Refused a minute",
                    "Events or wake-ups that a missing consent stopped, by purpose. A sudden "
                    "rise: the banner no longer reports grants.",
                    (per_minute("cartwake_consent_refused_total", "purpose"),),
                    "cpm",
                ),
                Panel(
                    "Choices a minute",
                    "Consent records by what became of them; none at all: no banner reports.",
                    (per_minute('cartwake_events_total{topic="consent-events"}', "type, outcome"),),
                    "cpm",
                ),
            ),
        ),
    ),
)
