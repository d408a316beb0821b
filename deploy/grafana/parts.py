"""What dashboards are made of, as plain values.

The one rule: a query asks for what Cartwake publishes or its rules record, in base units, and a
panel says what its reader does about what is seen.
"""

from dataclasses import dataclass
from typing import NamedTuple

# Grafana's own: long enough for a rate, whatever the range that is shown.
WINDOW = "$__rate_interval"


class Query(NamedTuple):
    """What a panel asks Prometheus, and how each of the series is called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph over time, or a single figure.

    ``unit`` is Grafana's name of it; above ``limit`` the value is red.
    """

    title: str
    means: str
    queries: tuple[Query, ...]
    unit: str = "short"
    limit: float | None = None
    is_figure: bool = False


class Row(NamedTuple):
    """Panels that answer one question, side by side."""

    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """A dashboard, and for whom it is."""

    name: str
    title: str
    means: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, from top to bottom."""
        return tuple(panel for row in self.rows for panel in row.panels)


def per_minute(selector: str, by: str, legend: str = "") -> Query:
    """Return how much a counter rises in a minute, by one label or several."""
    names = by.split(", ")
    shown = legend or " ".join(f"{{{{{name}}}}}" for name in names)
    return Query(f"60 * sum by ({by}) (rate({selector}[{WINDOW}]))", shown)


def quantiles(histogram: str, matching: str = "") -> tuple[Query, ...]:
    """Return the median and the 99th percentile of a histogram."""
    buckets = f"sum by (le) (rate({histogram}_bucket{matching}[{WINDOW}]))"
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", name)
        for share, name in ((0.5, "median"), (0.99, "p99"))
    )


def each(metric: str, legend: str = "{{instance}}") -> tuple[Query]:
    """Return a gauge of every process."""
    return (Query(metric, legend),)


def figure(
    title: str, means: str, expr: str, unit: str = "short", limit: float | None = None
) -> Panel:
    """Return a panel of one number."""
    return Panel(title, means, (Query(expr, title),), unit, limit, is_figure=True)
