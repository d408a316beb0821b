"""When ``make panels`` fails; what it asks for is asked of a real run, by hand."""

import pytest

from deploy.grafana.parts import Board, Panel, Query, Row
from tests.deploy import panels

TWO = Panel("Two", "two queries", (Query("there", "a"), Query("somewhere", "b")))


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ({"there": 1, "somewhere": 2}, 0, "0 panels without data"),
        ({"there": 3, "somewhere": 0}, 1, "1 panels without data\n  board: Two"),
        ({"there": 0, "somewhere": 0}, 1, "1 panels without data\n  board: Two"),
    ],
    ids=["all there", "half of it", "none"],
)
def test_a_panel_of_which_a_query_finds_nothing_is_a_failure(
    monkeypatch, capsys, found, code, said
):
    monkeypatch.setattr(panels, "run", lambda *_: "nowhere")
    monkeypatch.setattr(panels, "series", lambda _, expr: found[expr])
    monkeypatch.setattr(panels, "BOARDS", (Board("board", "", "", (Row("", (TWO,)),)),))
    assert panels.main() == code
    assert said in capsys.readouterr().out
