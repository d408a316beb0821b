"""Libraries for a shop's server: a purchase, through an answer 503, and a stamped refusal."""

from collections import Counter
from typing import NamedTuple

import pytest

from tests.clients.journey import JOURNEY, STEPS, made

SILENT = (
    "what is refused, such as an event whose stamped consent says no. The answer names it, but the "
    "library does not show the answer"
)
CALLS = f"`identify`, `group` and `alias`; calls with a `userId` alone; and {SILENT}."
ACTIONS = (
    "events by `GET`, which would put the server key into the address (401); cart views, struct "
    f"events, page pings; and {SILENT}."
)
AGAIN = "After an answer 503 it tries again."


class Client(NamedTuple):
    """A library, the example that uses it, and what the page says of it."""

    name: str
    package: str
    example: str
    journey: Counter[str]
    does: str
    limits: str


CLIENTS = (
    Client(
        "Segment, Node",
        "@segment/analytics-node",
        "segment_node.mjs",
        JOURNEY,
        f"Sends batches. {AGAIN}",
        CALLS,
    ),
    Client(
        "Segment, Python",
        "segment-analytics-python",
        "segment_python.py",
        JOURNEY,
        f"Sends batches, with `gzip = True` packed. {AGAIN}",
        CALLS,
    ),
    Client(
        "RudderStack, Node",
        "@rudderstack/rudder-sdk-node",
        "rudderstack_node.mjs",
        JOURNEY,
        f"Sends batches packed with gzip. {AGAIN}",
        CALLS,
    ),
    Client(
        "RudderStack, Python",
        "rudder-sdk-python",
        "rudderstack_python.py",
        JOURNEY,
        f"Sends batches packed with gzip. {AGAIN}",
        CALLS,
    ),
    Client(
        "Snowplow, Node",
        "@snowplow/node-tracker",
        "snowplow_node.mjs",
        STEPS,
        f"Sends batches. {AGAIN} Its buffer drops the oldest of more than 1,000 events that wait.",
        ACTIONS,
    ),
    Client(
        "Snowplow, Python",
        "snowplow-tracker",
        "snowplow_python.py",
        STEPS,
        f"Sends batches. {AGAIN} It does so by a timer: a process that ends before loses events.",
        ACTIONS,
    ),
)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_purchase_arrives_and_a_refusal_does_not(edge, run, state, client):
    edge.fail(1)
    refused = edge.count("refused_total", reason="refused_consent")
    said = run(client.example)
    events = edge.new_events(client.journey.total())
    assert edge.failures_left == 0
    assert (made(events), said.splitlines()[-1]) == (client.journey, "[]"), said
    visitor = client.example.partition(".")[0].replace("_", "-")
    assert {event["visitor"] for event in events} == {visitor}
    (order,) = [event for event in events if event["type"] == "order_completed"]
    assert (order["order"], order["total_minor"], order["currency"]) == ("o-1", 1290, "EUR")
    assert edge.count("refused_total", reason="refused_consent") == refused + 1
    parts = client._asdict()
    del parts["journey"]
    state(**parts, arrived=made(events))
