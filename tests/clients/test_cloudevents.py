"""The SDKs of CloudEvents, in their binary and structured modes."""

import json
from collections import Counter

import pytest

from tests.clients.journey import made

SENT = Counter(
    consent_updated=1, product_added=1, page_viewed=1, order_completed=1, order_refunded=1
)
LIMITS = (
    "types other than `cartwake.NAME.v1`, which are ignored, and the answer says so. Neither SDK "
    "tries again by itself: look at the status."
)


@pytest.mark.parametrize(
    ("name", "package", "example", "does"),
    [
        (
            "CloudEvents, Node",
            "cloudevents",
            "cloudevents_node.mjs",
            "One event a request, in binary mode (the default) or `Mode.STRUCTURED`.",
        ),
        (
            "CloudEvents, Python",
            "cloudevents",
            "cloudevents_python.py",
            "One event a request, in binary mode, or structured by `to_structured_event`.",
        ),
    ],
)
def test_events_arrive_in_both_modes(edge, run, state, name, package, example, does):
    answers = json.loads(run(example))
    assert answers == [[1, 0], [1, 0], [1, 0], [0, 1]]
    events = edge.new_events(SENT.total())
    assert made(events) == SENT
    assert {event["visitor"] for event in events} == {example.partition(".")[0].replace("_", "-")}
    assert len({event["id"] for event in events}) == SENT.total()
    state(name, package, arrived=made(events), does=does, limits=LIMITS, example=example)
