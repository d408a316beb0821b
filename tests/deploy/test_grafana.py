"""Dashboards: the JSON is the code's, and every query asks for what there is."""

import json
import re

import pytest
import yaml

from deploy.grafana import BOARDS
from deploy.grafana.drawn import drawn
from deploy.grafana.parts import WINDOW
from tests.deploy.published import ADDED, RECORDED, labels, labels_of
from tests.rig.processes import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "grafana"
# What Prometheus itself publishes.
OWN = {"ALERTS": {"alertname", "alertstate"}, "up": set()}
QUERIES = [
    pytest.param(query, id=f"{board.name}: {panel.title}: {query.legend}")
    for board in BOARDS
    for panel in board.panels
    for query in panel.queries
]


def series(expr):
    """Return the series that a query names."""
    return set(re.findall(r"\b(?:cartwake[_:][a-zA-Z0-9_:]+|ALERTS|up(?=\{))", expr))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_json_is_what_the_code_says(board):
    said = (FOLDER / "dashboards" / f"{board.name}.json").read_text()
    assert said == drawn(board), "run: make dashboards"


def test_there_is_no_json_without_code():
    kept = {file.stem for file in (FOLDER / "dashboards").glob("*.json")}
    assert kept == {board.name for board in BOARDS}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_series_and_labels_that_there_are(query):
    known = labels_of() | OWN | dict.fromkeys(RECORDED, frozenset())
    named = series(query.expr)
    assert named
    assert named <= known.keys()
    there = set().union(*(known[one] for one in named)) | ADDED
    assert labels(query.expr) <= there
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= there


def test_every_series_of_a_worker_an_edge_and_an_emailer_is_on_a_dashboard():
    asked = {name for query in QUERIES for name in series(query.values[0].expr)}
    without_ending = {re.sub("_(bucket|count|sum|total)$", "", name) for name in asked}
    recorded = {"cartwake_trigger_fire_lag_seconds", "cartwake_trigger_end_to_end_seconds"}
    there = {re.sub("_(bucket|count|sum|total)$", "", name) for name in labels_of()}
    assert there <= without_ending | recorded


def test_prometheus_can_read_every_query(promtool, tmp_path):
    rules = [
        {"record": f"asked:{number}", "expr": query.values[0].expr.replace(WINDOW, "1m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_lie_side_by_side_and_each_says_what_it_means(board):
    panels = json.loads(drawn(board))["panels"]
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] == "row" or len(panel["description"]) > 5


def test_a_board_has_a_name_a_title_and_an_address_of_its_own():
    for said in ("title", "uid"):
        assert len({json.loads(drawn(board))[said] for board in BOARDS}) == len(BOARDS)


def test_grafana_is_told_where_the_dashboards_and_prometheus_are():
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    scraped = yaml.safe_load((REPOSITORY / "deploy/prometheus.yml").read_text())["global"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/cartwake.yml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    assert not provider["allowUiUpdates"]
