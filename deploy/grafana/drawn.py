"""A board as the JSON that Grafana reads.

The one rule: the same board gives the same bytes, so that a test can compare them.
"""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from deploy.grafana.parts import Board, Panel, Row

# Whoever opens the dashboard chooses which Prometheus; with one there is nothing to choose.
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
WIDTH = 24
FIGURE_HEIGHT, GRAPH_HEIGHT = 4, 8
TAG = "cartwake"
OK, BAD = "green", "red"


def drawn(board: Board) -> str:
    """Return a dashboard's JSON."""
    link = (
        dashboard.DashboardLink("Cartwake")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)  # noqa: FBT003 - the builder's way
    )
    built = (
        dashboard.Dashboard(f"Cartwake: {board.title}")
        .uid(f"cartwake-{board.name}")
        .description(board.means)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .link(link)
    )
    numbers = iter(range(1, 1000))
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title).id(next(numbers)))
        for panel in _panels(row, numbers):
            built = built.with_panel(panel)
    return JSONEncoder(indent=2, sort_keys=True).encode(built.build()) + "\n"


def _panels(row: Row, numbers: Iterator[int]) -> Iterator[stat.Panel | timeseries.Panel]:
    """Share the row's width among its panels."""
    width = WIDTH // len(row.panels)
    for panel in row.panels:
        built = _figure(panel) if panel.is_figure else _graph(panel)
        height = FIGURE_HEIGHT if panel.is_figure else GRAPH_HEIGHT
        for place, query in enumerate(panel.queries):
            asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend)
            built = built.with_target(asked.range().ref_id(chr(ord("A") + place)))
        yield (
            built.id(next(numbers))
            .title(panel.title)
            .description(panel.means)
            .datasource(SOURCE)
            .unit(panel.unit)
            .span(width)
            .height(height)
        )


def _figure(panel: Panel) -> stat.Panel:
    coloured = BigValueColorMode.NONE if panel.limit is None else BigValueColorMode.VALUE
    newest = common.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        stat.Panel()
        .reduce_options(newest)
        .color_mode(coloured)
        .thresholds(_thresholds(panel.limit))
    )


def _graph(panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .show_legend(True)  # noqa: FBT003 - the builder's way
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    built = (
        timeseries.Panel()
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(8)
    )
    if panel.limit is None:
        return built
    line = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE)
    return built.thresholds(_thresholds(panel.limit)).thresholds_style(line)


def _thresholds(limit: float | None) -> dashboard.ThresholdsConfig:
    steps = [Threshold(color=OK, value=None)]
    if limit is not None:
        steps.append(Threshold(color=BAD, value=limit))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
