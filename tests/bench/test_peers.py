import shutil
from collections import Counter, defaultdict

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import events, synthetic
from bench.events import partition_of, with_everybodys_consent
from bench.peers import contestant, race, reference
from bench.peers.contestant import contestants
from bench.peers.convert import KIND, peer_event
from stream.adapters.wire.codec import decode
from tests.rig.merch_store import TOPIC_OF, TOPICS
from tests.rig.processes import REPOSITORY

MONTH = st.builds(
    lambda visitors, seed: list(synthetic.events(visitors, seed)),
    st.integers(1, 12),
    st.integers(0, 10_000),
)
GAP_MS = reference.GAP_MS


def bought(event):
    """Return the products that a canonical event puts, takes or orders, as (id, quantity)."""
    lines = event.get("lines", [event] if "product" in event and "quantity" in event else [])
    named = [(line["product"]["id"], line["quantity"]) for line in lines]
    return named + (
        [(event["product_id"], event.get("quantity", 10_000))] if "product_id" in event else []
    )


@given(MONTH)
def test_the_contestants_read_the_same_visitors_moments_kinds_and_products(month):
    ours = Counter(
        (e["visitor"], e["at_ms"], KIND.get(e["type"], "page_view"), tuple(bought(e)))
        for e in month
    )
    theirs = Counter(
        (
            e["visitor"],
            e["at_ms"],
            e["type"],
            tuple((item["sku"], item["qty"]) for item in e.get("items", ())),
        )
        for e in map(peer_event, month)
    )
    assert theirs == ours


@given(MONTH)
def test_a_synthetic_month_is_canonical_and_in_the_order_of_the_merge(month):
    check_order(month)


def test_nobody_does_two_things_at_once_in_a_synthetic_month(monkeypatch):
    monkeypatch.setattr(synthetic, "MEAN_PAUSE_MS", 1)
    check_order(list(synthetic.events(100)))


def test_a_removal_without_a_quantity_takes_the_whole_line():
    removed = {"type": "product_removed", "id": "r", "visitor": "v", "at_ms": 1, "product_id": "m"}
    assert peer_event(removed)["items"] == [{"sku": "m", "qty": 10_000, "price": 0}]


def check_order(month):
    for event in month:
        decode(orjson.dumps(event), TOPIC_OF[event["type"]])
    places = defaultdict(list)
    for event in month:
        rank = TOPICS.index(TOPIC_OF[event["type"]])
        places[event["visitor"]].append((event["at_ms"], rank))
    assert all(found == sorted(found) for found in places.values())
    assert [e["at_ms"] for e in month] == sorted(e["at_ms"] for e in month)
    assert len({e["id"] for e in month}) == len(month)


@given(MONTH)
def test_with_everybodys_consent_only_grants_change(month):
    given_by_all = list(with_everybodys_consent(month))
    grants = [e for e in given_by_all if "granted" in e.get("purposes", {}).values()]
    rest = [e for e in month if "granted" not in e.get("purposes", {}).values()]
    assert [e for e in given_by_all if e not in grants] == rest
    assert {e["visitor"] for e in grants} == {e["visitor"] for e in month}
    seen = set()
    for event in given_by_all:
        assert event in grants or event["visitor"] in seen
        seen.add(event["visitor"])


def test_the_closing_events_come_last_and_reach_every_partition():
    month = list(synthetic.events(3))
    *same, a, b, c, d = events.closed(iter(month), 4, 1_000)
    assert same == month
    assert {e["at_ms"] for e in (a, b, c, d)} == {month[-1]["at_ms"] + 1_000}
    assert [partition_of(e["visitor"], 4) for e in (a, b, c, d)] == [0, 1, 2, 3]


def event(kind, at_ms, visitor="v", **fields):
    return {"type": kind, "visitor": visitor, "at_ms": at_ms, **fields}


MUG, HAT = {"sku": "mug", "qty": 2, "price": 5}, {"sku": "hat", "qty": 1, "price": 7}
CONSENT, ADD = event("consent", 0, granted=True), event("cart_add", 1, items=[MUG, HAT])


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ([], [["hat", 1, 7], ["mug", 2, 5]]),
        ([event("cart_remove", 2, items=[HAT])], [["mug", 2, 5]]),
        ([event("cart_remove", 2, items=[HAT, MUG])], None),
        ([event("purchase", 2)], None),
        ([event("purchase", 2), event("cart_add", 3, items=[HAT])], None),
        ([event("consent", 2, granted=False)], None),
        ([event("page_view", 1 + GAP_MS)], [["hat", 1, 7], ["mug", 2, 5]]),
    ],
)
def test_the_reference_closes_a_session_once_after_the_gap(more, lines):
    last_ms = [CONSENT, ADD, *more][-1]["at_ms"]
    closing = event("page_view", last_ms + GAP_MS, visitor="other")
    assert not reference.run([CONSENT, ADD, *more, closing], 1)
    found = reference.run([CONSENT, ADD, *more, closing | {"at_ms": closing["at_ms"] + 1}], 1)
    assert [one["lines"] for one in found.values()] == ([lines] if lines else [])


def test_every_contestant_says_what_it_is():
    for name, spec in contestants().items():
        assert spec.keys() <= {"about", "command", "redis", "slow", "output", "latency", "drain"}
        assert spec["about"], name


@pytest.mark.parametrize("name", ["bytewax", "flink-heap"])
def test_an_engine_that_is_not_installed_says_so_in_its_row(monkeypatch, tmp_path, name):
    monkeypatch.setattr(contestant, "PYTHON", REPOSITORY / "nowhere" / "python")
    shutil.copy(contestant.HERE / "contestants.toml", tmp_path)
    monkeypatch.setattr(contestant, "HERE", tmp_path)  # where no jar has been built
    told = race._tried(None, name, None, tmp_path, 1.0)["worker_and_redis_us"]
    assert told.startswith("not run: ")
    assert "make peers" in told or "Java" in told
