"""Segment's libraries for servers: a purchase, through an answer 503, and a refusal."""

import pytest

from tests.clients.journey import JOURNEY, made

LIMITS = (
    "`identify`, `group` and `alias`; calls with a `userId` alone, which names no visitor; and "
    "what is refused, such as an event whose stamped consent says no. The answer names it, but the "
    "library does not show the answer."
)


@pytest.mark.parametrize(
    ("name", "package", "example", "does"),
    [
        (
            "Segment, Node",
            "@segment/analytics-node",
            "segment_node.mjs",
            "Sends batches. After an answer 503 it tries again.",
        ),
        (
            "Segment, Python",
            "segment-analytics-python",
            "segment_python.py",
            "Sends batches, with `gzip` if you set it. After an answer 503 it tries again.",
        ),
    ],
)
def test_a_purchase_arrives_and_a_refusal_does_not(edge, run, state, name, package, example, does):
    edge.fail(1)
    refused = edge.count("refused_total", reason="refused_consent")
    assert run(example).splitlines()[-1] == "[]"  # what the library could not send
    events = edge.new_events(len(JOURNEY))
    assert edge.failures_left == 0
    assert made(events) == JOURNEY
    assert {event["visitor"] for event in events} == {example.partition(".")[0].replace("_", "-")}
    assert edge.count("refused_total", reason="refused_consent") == refused + 1
    state(name, package, arrived=made(events), does=does, limits=LIMITS, example=example)
