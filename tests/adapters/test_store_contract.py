"""The contract of `stream.shard.ports.Store`, held against every implementation and kind of key."""

import copy
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.adapters.memory import MemoryStore
from stream.adapters.redis.connection import Connection
from stream.adapters.redis.reader import RedisReader
from stream.adapters.redis.store import RedisStore
from stream.domain.cart import Cart
from stream.domain.consent import Choice
from stream.domain.session import Session
from stream.domain.visitor import Behaviour, Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.shard.ports import (
    Commit,
    Entry,
    FencedError,
    NewerFormatError,
    RewoundError,
    UnreadableState,
    Watermark,
)
from tests import counters


class Kind(NamedTuple):
    """One kind of key: its codec, how to make keys and states of it, and how to change a state."""

    codec: Any
    key: Any
    state: Any
    change: Any


def visitor(number=1):
    behaviour = Behaviour(number, Session(number, number), Cart(fingerprint="f"))
    return Visitor(consent={"personalization": Choice("granted", number)}, behaviour=behaviour)


def change_visitor(state):
    state.consent.clear()
    state.behaviour.cart.fingerprint = "other"


def change_product(state):
    state.seen = 99


VISITORS = Kind(VISITOR_CODEC, lambda name: VisitorKey("shop", name), visitor, change_visitor)
PRODUCTS = Kind(
    counters.ProductCodec(),
    lambda name: counters.ProductKey("shop", name),
    lambda number=1: counters.Product(seen=number),
    change_product,
)
KIND, ANN, BOB, EVE = VISITORS, *map(VISITORS.key, ("ann", "bob", "eve"))


@pytest.fixture(autouse=True, params=[VISITORS, PRODUCTS], ids=["visitors", "products"])
def kind(request, monkeypatch):
    """Let the whole suite run over each kind of key."""
    monkeypatch.setitem(globals(), "KIND", request.param)
    for name in ("ann", "bob", "eve"):
        monkeypatch.setitem(globals(), name.upper(), request.param.key(name))


of_visitors = pytest.mark.parametrize("kind", [VISITORS], indirect=True, ids=["visitors"])
ENTRY = Entry("triggers", b"ann", b"{}", [("ce_id", b"1")], ("exit_intent", "shop", "ann"))
DEAD = Entry("dead-letters", None, None, [])


class InMemory:
    """The store in memory, with what an operator may do to its data."""

    def __init__(self):
        self.store = MemoryStore(KIND.codec)

    async def copy(self):
        return copy.deepcopy(self.store._shards)

    async def restore(self, kept):
        self.store._shards = kept

    async def wipe(self):
        self.store._shards = {}

    async def stopped(self):
        return self.store._shards[0].stopped

    async def damage(self, key):
        self.store._shards[0].states[key] = b"\xff"

    async def close(self):
        pass


class InRedis:
    """The store in a real Redis or cluster, with what an operator may do to its data."""

    def __init__(self, url, group):
        self.connection = Connection(url)
        self.client, self.group = self.connection.client, group
        self.store = RedisStore(self.connection, group, KIND.codec)

    async def copy(self):
        return {key: await self.client.dump(key) for key in await self._keys()}

    async def restore(self, kept):
        await self.wipe()
        for key, value in kept.items():
            await self.client.restore(key, 0, value)

    async def wipe(self):
        for key in await self._keys():  # one by one, as a cluster has them in different places
            await self.client.delete(key)

    async def stopped(self):
        return await RedisReader(self.connection, self.group).stopped(0)

    async def damage(self, key):
        name = KIND.codec.name_of(key)
        await self.client.hset(f"{self.group}:{{0}}:state", name, b"\xff")

    async def close(self):
        await self.connection.close()

    async def _keys(self):
        return [key async for key in self.client.scan_iter(f"{self.group}:*")]  # on every node


REAL = [pytest.param(name, marks=pytest.mark.redis) for name in ("redis_server", "redis_cluster")]


@pytest.fixture(params=["memory", *REAL])
def make(request, group):
    if request.param == "memory":
        return InMemory
    server = request.getfixturevalue(request.param)
    return lambda: InRedis(server.url, group)


@pytest.fixture
async def kept(make):
    made = make()
    yield made
    await made.close()


@pytest.fixture
def store(kept):
    return kept.store


def state(number=1):
    return KIND.state(number)


def commit(step=1, states=None, wakes=None, entries=(), **more):
    watermark = Watermark({"cart-events": 10 * step}, 1_000 * step, step)
    return Commit(states or {}, wakes or {}, list(entries), more.get("watermark", watermark))


async def content(store, shard=0):
    """Return all that a new owner finds; claiming is part of looking."""
    owner = await store.claim(shard)
    whos = [ANN, BOB, EVE]
    return {
        "watermark": owner.watermark,
        "states": await store.load(owner, whos),
        "due": await store.due(owner, 2**53, 100),
        "next": (owner.next_due_ms, owner.armed, owner.pending),
        "outbox": [entry for _, entry in await store.outbox(owner)],
    }


# Claiming


async def test_a_shard_that_was_never_written_begins_at_the_beginning(store):
    owner = await store.claim(3)
    assert (owner.shard, owner.epoch, owner.watermark) == (3, 1, Watermark())
    assert (owner.next_due_ms, owner.armed, owner.pending) == (None, 0, 0)
    assert await store.load(owner, [ANN]) == {}
    assert await store.due(owner, 2**53, 10) == []
    assert await store.outbox(owner) == []


async def test_each_claim_is_a_new_epoch_with_a_token_of_its_own(store):
    owners = [await store.claim(0) for _ in range(4)]
    assert [owner.epoch for owner in owners] == [1, 2, 3, 4]
    assert len({owner.token for owner in owners}) == 4


async def test_the_first_number_of_partitions_stays(store):
    assert await store.fix_partitions(12) == 12
    assert await store.fix_partitions(13) == 12


async def test_a_claim_tells_what_was_committed(store):
    owner = await store.claim(0)
    wakes = {ANN: 70, BOB: 50}
    await store.commit(owner, commit(1, {ANN: state(), BOB: state()}, wakes, [ENTRY]))
    new = await store.claim(0)
    assert new.watermark == Watermark({"cart-events": 10}, 1_000, 1)
    assert (new.next_due_ms, new.armed, new.pending) == (50, 2, 1)


async def test_shards_share_nothing(store):
    one, other = await store.claim(1), await store.claim(2)
    await store.commit(one, commit(1, {ANN: state()}, {ANN: 5}, [ENTRY]))
    assert await store.load(other, [ANN]) == {}
    assert await store.due(other, 2**53, 10) == []
    assert await store.outbox(other) == []
    await store.commit(other, commit(7))
    assert (await store.claim(1)).watermark.step == 1


# Committing


async def test_a_commit_writes_states_wake_ups_outbox_and_watermark(store):
    owner = await store.claim(0)
    ids = await store.commit(owner, commit(1, {ANN: state(5)}, {ANN: 9}, [ENTRY, DEAD]))
    assert len(set(ids)) == 2
    assert await content(store) == {
        "watermark": Watermark({"cart-events": 10}, 1_000, 1),
        "states": {ANN: state(5)},
        "due": [ANN],
        "next": (9, 1, 2),
        "outbox": [ENTRY, DEAD],
    }


async def test_a_commit_tells_its_owner_what_the_store_holds_now(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 40, BOB: 30}, entries=[ENTRY]))
    assert owner.watermark == Watermark({"cart-events": 10}, 1_000, 1)
    assert (owner.next_due_ms, owner.armed, owner.pending) == (30, 2, 1)
    await store.commit(owner, commit(2, wakes={BOB: None}))
    assert (owner.next_due_ms, owner.armed, owner.pending) == (40, 1, 1)
    await store.commit(owner, commit(3, wakes={ANN: None}))
    assert (owner.next_due_ms, owner.armed, owner.pending) == (None, 0, 1)


async def test_states_are_replaced_and_deleted(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(1), BOB: state(1)}))
    await store.commit(owner, commit(2, {ANN: state(2), BOB: None, EVE: None}))
    assert await store.load(owner, [ANN, BOB, EVE]) == {ANN: state(2)}


async def test_an_empty_commit_moves_the_watermark_alone(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state()}, {ANN: 5}, [ENTRY]))
    before = await content(store)
    owner = await store.claim(0)
    assert await store.commit(owner, commit(2)) == []
    after = await content(store)
    assert after == before | {"watermark": commit(2).watermark}


async def test_the_same_commit_again_changes_nothing_and_returns_no_ids(store):
    owner = await store.claim(0)
    first = commit(1, {ANN: state(1)}, {ANN: 5}, [ENTRY])
    known = copy.deepcopy(owner)
    assert len(await store.commit(owner, first)) == 1
    assert await store.commit(known, first) == []
    assert (known.watermark, known.next_due_ms, known.pending) == (first.watermark, 5, 1)
    assert [entry for _, entry in await store.outbox(owner)] == [ENTRY]


async def test_a_repeated_commit_is_told_by_its_watermark_and_not_written_again(store):
    owner = await store.claim(0)
    known = copy.deepcopy(owner)
    await store.commit(owner, commit(1, {ANN: state(1)}, {ANN: 5}))
    await store.commit(known, commit(1, {ANN: state(9)}, {ANN: 9}, [ENTRY]))
    assert await store.load(owner, [ANN]) == {ANN: state(1)}
    assert (owner.next_due_ms, await store.outbox(owner)) == (5, [])


async def test_a_step_that_leaves_the_offsets_alone_is_told_apart_from_the_last(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(watermark=Watermark({"cart-events": 4}, 50, 1)))
    again = commit(entries=[ENTRY], watermark=Watermark({"cart-events": 4}, 50, 2))
    assert len(await store.commit(owner, again)) == 1


async def test_which_topics_were_read_is_kept_with_the_offsets(store):
    owner = await store.claim(0)
    mark = Watermark({"cart-events": 4}, 50, 1, {"cart-events": "a1"})
    await store.commit(owner, commit(watermark=mark))
    assert (await store.claim(0)).watermark == mark


# Refusing


async def unchanged_by(store, owner, attempt, error):
    before = await _peek(store, owner)
    with pytest.raises(error):
        await store.commit(owner, attempt)
    assert await _peek(store, owner) == before


async def _peek(store, owner):
    """Return the content as an owner sees it, without claiming."""
    states = await store.load(owner, [ANN, BOB, EVE])
    return states, await store.due(owner, 2**53, 100), await store.outbox(owner)


async def test_a_commit_of_an_earlier_owner_is_fenced_and_writes_nothing(store):
    old = await store.claim(0)
    await store.commit(old, commit(1, {ANN: state(1)}, {ANN: 5}, [ENTRY]))
    await store.claim(0)
    attempt = commit(2, {ANN: None, BOB: state()}, {ANN: None, BOB: 1}, [DEAD])
    await unchanged_by(store, old, attempt, FencedError)


async def test_an_earlier_owner_is_fenced_before_anything_was_committed(store):
    old = await store.claim(0)
    await store.claim(0)
    await unchanged_by(store, old, commit(1, {ANN: state()}, {}, [ENTRY]), FencedError)


async def test_an_earlier_owner_repeating_its_last_commit_is_fenced_too(store):
    old = await store.claim(0)
    known = copy.deepcopy(old)
    await store.commit(old, commit(1))
    await store.claim(0)
    with pytest.raises(FencedError):
        await store.commit(known, commit(1))


async def test_a_commit_upon_another_watermark_is_refused_and_writes_nothing(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(1)}, {ANN: 5}, [ENTRY]))
    owner.watermark, owner.stored = Watermark({"cart-events": 9}, 1_000, 1), b"another"
    attempt = commit(2, {ANN: None, BOB: state()}, {ANN: None, BOB: 1}, [DEAD])
    await unchanged_by(store, owner, attempt, RewoundError)


async def test_a_commit_upon_a_watermark_that_was_never_written_is_refused(store):
    owner = await store.claim(0)
    owner.watermark, owner.stored = Watermark({"cart-events": 9}, 1_000, 1), b"another"
    await unchanged_by(store, owner, commit(2, {ANN: state()}), RewoundError)


async def test_a_store_with_an_older_copy_of_its_data_is_rewound(kept):
    store = kept.store
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    older = await kept.copy()
    await store.commit(owner, commit(2, {ANN: state()}))
    await kept.restore(older)
    await unchanged_by(store, owner, commit(3, {BOB: state()}, {}, [ENTRY]), RewoundError)
    assert (await store.claim(0)).watermark == commit(1).watermark


async def test_a_wiped_store_is_rewound_and_not_fenced(kept):
    store = kept.store
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    await kept.wipe()
    await unchanged_by(store, owner, commit(2, {ANN: state()}, {}, [ENTRY]), RewoundError)
    with pytest.raises(RewoundError):
        await store.remove(owner, ["1-1"])
    assert (await store.claim(0)).watermark == Watermark()


async def test_a_store_wiped_before_the_first_commit_is_rewound(kept):
    owner = await kept.store.claim(0)
    await kept.wipe()
    await unchanged_by(kept.store, owner, commit(1, {ANN: state()}), RewoundError)


async def test_a_claim_that_the_store_has_lost_is_rewound_because_nobody_newer_owns_it(kept):
    store = kept.store
    first = await store.claim(0)
    await store.commit(first, commit(1))
    older = await kept.copy()
    owner = await store.claim(0)
    await kept.restore(older)
    await unchanged_by(store, owner, commit(2, {ANN: state()}), RewoundError)
    with pytest.raises(RewoundError):
        await store.remove(owner, [])


async def test_an_epoch_that_a_restored_copy_gives_out_again_does_not_let_the_old_owner_in(kept):
    store = kept.store
    await store.claim(0)
    older = await kept.copy()
    old = await store.claim(0)
    await kept.restore(older)
    new = await store.claim(0)
    assert (old.epoch, old.watermark) == (new.epoch, new.watermark)
    await unchanged_by(store, old, commit(1, {ANN: state()}), FencedError)


# Loading


async def test_only_visitors_with_a_state_are_loaded(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(1)}))
    assert await store.load(owner, [BOB, ANN]) == {ANN: state(1)}
    assert await store.load(owner, []) == {}


async def test_a_loaded_state_may_be_changed_without_changing_the_store(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(1)}))
    loaded = (await store.load(owner, [ANN]))[ANN]
    KIND.change(loaded)
    assert await store.load(owner, [ANN]) == {ANN: state(1)}


async def test_a_committed_state_may_be_changed_without_changing_the_store(store):
    owner = await store.claim(0)
    mine = state(1)
    await store.commit(owner, commit(1, {ANN: mine}))
    KIND.change(mine)
    assert await store.load(owner, [ANN]) == {ANN: state(1)}


async def test_a_last_look_brings_the_states_that_loading_brings(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(1), EVE: state(3)}))
    look = await store.look(owner, [BOB, ANN, EVE])
    assert look.states == {ANN: state(1), EVE: state(3)}
    assert (await store.look(owner, [])).states == {}


async def test_an_earlier_owners_last_look_is_fenced(store):
    old = await store.claim(0)
    await store.commit(old, commit(1, {ANN: state(1)}))
    await store.claim(0)
    for whos in ([ANN], []):
        with pytest.raises(FencedError):
            await store.look(old, whos)


async def test_a_last_look_at_a_store_that_lost_the_claim_is_rewound(kept):
    owner = await kept.store.claim(0)
    await kept.wipe()
    with pytest.raises(RewoundError):
        await kept.store.look(owner, [ANN])


# Wake-ups


async def test_wake_ups_come_in_the_order_of_their_moments_up_to_and_including_one(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 30, BOB: 10, EVE: 20}))
    assert await store.due(owner, 9, 10) == []
    assert await store.due(owner, 20, 10) == [BOB, EVE]
    assert await store.due(owner, 30, 10) == [BOB, EVE, ANN]


async def test_no_more_wake_ups_than_asked_for_the_earliest_first(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 30, BOB: 10, EVE: 20}))
    assert await store.due(owner, 99, 2) == [BOB, EVE]
    assert await store.due(owner, 99, 0) == []


async def test_looking_takes_no_wake_up_away(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 5}))
    assert [await store.due(owner, 9, 9) for _ in range(3)] == [[ANN]] * 3


async def test_a_wake_up_is_moved_and_taken_away(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 5, BOB: 6}))
    await store.commit(owner, commit(2, wakes={ANN: 9, BOB: None, EVE: None}))
    assert await store.due(owner, 8, 9) == []
    assert await store.due(owner, 9, 9) == [ANN]
    await store.commit(owner, commit(3, wakes={ANN: 2}))
    await store.commit(owner, commit(4, wakes={ANN: 9}))
    assert (await store.due(owner, 8, 9), owner.next_due_ms, owner.armed) == ([], 9, 1)


async def test_a_wake_up_without_a_state_and_a_state_without_a_wake_up_are_kept(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state()}, {BOB: 5}))
    assert await store.load(owner, [ANN, BOB]) == {ANN: state()}
    assert await store.due(owner, 9, 9) == [BOB]


@pytest.mark.parametrize("due_ms", [-(2**53), -1, 0, 1, 2**31, 2**53 - 1, 2**53])
async def test_moments_before_the_epoch_and_far_ahead_are_exact(store, due_ms):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: due_ms}))
    assert owner.next_due_ms == due_ms
    assert (await store.claim(0)).next_due_ms == due_ms
    assert await store.due(owner, due_ms, 1) == [ANN]
    if due_ms > -(2**53):
        assert await store.due(owner, due_ms - 1, 1) == []


async def test_moments_that_no_score_can_hold_do_no_harm(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, wakes={ANN: 2**62, BOB: -(2**62)}))
    assert await store.due(owner, 2**53, 9) == [BOB]
    assert await store.due(owner, 2**63, 9) == [BOB, ANN]


# The outbox


async def test_the_outbox_keeps_the_order_of_commits_and_of_the_entries_in_each(store):
    owner = await store.claim(0)
    entries = [Entry("decisions", b"k", b"%d" % number, []) for number in range(6)]
    ids = await store.commit(owner, commit(1, entries=entries[:3]))
    ids += await store.commit(owner, commit(2, entries=entries[3:]))
    assert await store.outbox(owner) == list(zip(ids, entries, strict=True))


async def test_removed_entries_are_gone_and_the_others_stay(store):
    owner = await store.claim(0)
    ids = await store.commit(owner, commit(1, entries=[ENTRY, DEAD, ENTRY]))
    await store.remove(owner, [ids[0], ids[2]])
    assert await store.outbox(owner) == [(ids[1], DEAD)]
    assert owner.pending == 1


async def test_removing_what_is_gone_does_no_harm(store):
    owner = await store.claim(0)
    ids = await store.commit(owner, commit(1, entries=[ENTRY]))
    await store.remove(owner, ids)
    await store.remove(owner, ids)
    await store.remove(owner, [])
    assert (await store.outbox(owner), owner.pending) == ([], 0)


async def test_an_earlier_owner_removes_nothing(store):
    old = await store.claim(0)
    ids = await store.commit(old, commit(1, entries=[ENTRY]))
    new = await store.claim(0)
    with pytest.raises(FencedError):
        await store.remove(old, ids)
    assert await store.outbox(new) == [(ids[0], ENTRY)]
    await store.remove(new, ids)
    assert await store.outbox(new) == []


async def test_why_a_shard_was_stopped_is_kept_until_it_is_claimed_again(kept):
    owner = await kept.store.claim(0)
    assert await kept.stopped() == ""
    await kept.store.stop(owner, "101 dead letters in a row")
    assert await kept.stopped() == "101 dead letters in a row"
    await kept.store.claim(0)
    assert await kept.stopped() == ""


async def test_an_earlier_owner_stops_nothing(kept):
    old = await kept.store.claim(0)
    await kept.store.claim(0)
    with pytest.raises(FencedError):
        await kept.store.stop(old, "101 dead letters in a row")
    assert await kept.stopped() == ""


async def test_a_stop_in_a_store_that_lost_the_claim_is_rewound(kept):
    owner = await kept.store.claim(0)
    await kept.wipe()
    with pytest.raises(RewoundError):
        await kept.store.stop(owner, "101 dead letters in a row")


async def test_ids_are_not_given_out_again_after_removal(store):
    owner = await store.claim(0)
    first = await store.commit(owner, commit(1, entries=[ENTRY]))
    await store.remove(owner, first)
    again = await store.commit(owner, commit(2, entries=[ENTRY]))
    assert set(first).isdisjoint(again)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("dead-letters", b"\xff\x00", b"\x00" * 70_000, [("reason", b"\xfe"), ("empty", b"")]),
        Entry("dead-letters", None, b"", [("x", b"1"), ("x", b"2")]),
        Entry("triggers", b"", b"{}", [], ("cart_abandonment", "ü:\0", "")),
    ],
)
async def test_entries_come_back_to_the_byte(store, entry):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, entries=[entry]))
    assert [one for _, one in await store.outbox(owner)] == [entry]


# Size


async def test_a_commit_of_many_thousand_arguments_is_one_commit(store):
    owner = await store.claim(0)
    many = [KIND.key(f"k{number}") for number in range(9_001)]
    states = {one: state(number) for number, one in enumerate(many)}
    wakes = {one: number for number, one in enumerate(many)}
    entries = [Entry("decisions", b"k", b"%d" % number, []) for number in range(9_001)]
    ids = await store.commit(owner, commit(1, states, wakes, entries))
    assert (len(set(ids)), owner.armed, owner.pending) == (9_001, 9_001, 9_001)
    assert await store.load(owner, many) == states
    assert await store.due(owner, 9_001, 10_000) == many
    await store.remove(owner, ids)
    nothing = dict.fromkeys(many)
    await store.commit(owner, commit(2, nothing, nothing))
    assert (owner.armed, owner.pending, owner.next_due_ms) == (0, 0, None)
    assert await store.load(owner, many) == {}


# Policies, and wake-ups computed anew


async def test_a_shard_without_states_follows_the_policies_of_its_owner(store):
    assert (await store.claim(0, "one")).policy == "one"
    assert (await store.claim(0, "two")).policy == "two"


async def test_a_claim_tells_which_policies_the_wake_ups_of_states_follow(store):
    owner = await store.claim(0, "one")
    await store.commit(owner, commit(1, {ANN: state()}, {ANN: 5}))
    assert (await store.claim(0, "two")).policy == "one"


async def test_a_shard_of_a_version_without_policies_follows_none(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state()}, {ANN: 5}))
    assert (await store.claim(0, "two")).policy == ""


async def test_a_scan_brings_every_state_of_its_shard(store):
    owner, other = await store.claim(0), await store.claim(1)
    states = {KIND.key(f"k{number}"): state(number) for number in range(1, 1_300)}
    await store.commit(owner, commit(1, states))
    await store.commit(other, commit(1, {EVE: state()}))
    chunks = [chunk async for chunk in store.scan(owner)]
    assert len(chunks) > 1
    assert {key: one for chunk in chunks for key, one in chunk.items()} == states


async def test_arming_writes_wake_ups_and_leaves_everything_else(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: state(), BOB: state()}, {ANN: 50, BOB: 60}, [ENTRY]))
    await store.arm(owner, {ANN: 70, BOB: None, EVE: 20})
    assert (owner.next_due_ms, owner.armed, owner.policy) == (20, 2, "")
    await store.arm(owner, {}, "digest")
    assert owner.policy == "digest"
    found = await content(store)
    assert found["due"] == [EVE, ANN]
    assert found["states"] == {ANN: state(), BOB: state()}
    assert found["outbox"] == [ENTRY]
    assert found["watermark"] == commit(1).watermark
    assert (await store.claim(0)).policy == "digest"


async def test_arming_many_thousand_wake_ups_is_one_step(store):
    owner = await store.claim(0)
    wakes = {KIND.key(f"k{number}"): number for number in range(9_001)}
    await store.arm(owner, wakes)
    assert (owner.armed, owner.next_due_ms) == (9_001, 0)
    await store.arm(owner, dict.fromkeys(wakes))
    assert (owner.armed, owner.next_due_ms) == (0, None)


async def test_an_earlier_owner_arms_nothing(store):
    old = await store.claim(0)
    await store.claim(0)
    with pytest.raises(FencedError):
        await store.arm(old, {ANN: 5}, "digest")
    new = await store.claim(0)
    assert (new.armed, new.policy) == (0, "")


async def test_an_owner_whose_claim_is_gone_arms_nothing(kept):
    owner = await kept.store.claim(0)
    await kept.wipe()
    with pytest.raises(RewoundError):
        await kept.store.arm(owner, {ANN: 5}, "digest")


# Formats


async def test_what_a_newer_version_has_written_is_not_taken(kept, monkeypatch):
    owner = await kept.store.claim(0)
    with monkeypatch.context() as newer:
        newer.setattr(type(KIND.codec), "format", KIND.codec.format + 1)
        owner = await kept.store.claim(0)
        await kept.store.commit(owner, commit(1, {ANN: state()}, {ANN: 5}, [ENTRY]))
    with pytest.raises(NewerFormatError, match="this version reads up to"):
        await kept.store.claim(0)
    assert await kept.store.commit(owner, commit(2)) == [], "the newer one still owns it"
    with monkeypatch.context() as newer:
        newer.setattr(type(KIND.codec), "format", KIND.codec.format + 1)
        assert (await kept.store.claim(0)).epoch == 3


async def test_a_state_that_cannot_be_read_is_named_and_the_others_are_not_lost(kept):
    owner = await kept.store.claim(0)
    states = {ANN: state(), BOB: state(), EVE: state()}
    await kept.store.commit(owner, commit(1, states, dict.fromkeys(states, 5)))
    await kept.damage(BOB)
    with pytest.raises(UnreadableState) as refused:
        await kept.store.load(owner, [ANN, BOB, EVE])
    assert refused.value.keys == (BOB,)
    readable = {ANN: state(), EVE: state()}
    assert await kept.store.load(owner, [ANN, EVE]) == readable
    assert (await kept.store.look(owner, [ANN, BOB, EVE])).states == readable
    assert [chunk async for chunk in kept.store.scan(owner)] == [readable]


# Names

ODD = [
    VisitorKey("1", "1:1"),
    VisitorKey("1:", "1:1"),
    VisitorKey("1:1", "1"),
    VisitorKey("11", ":1"),
    VisitorKey("1", "11"),
    VisitorKey("11", "1"),
    VisitorKey("a", "\0"),
    VisitorKey("a\0", "a"),
    VisitorKey("ü", "ü"),
    VisitorKey("üü", "x"),
    VisitorKey("\U0001f6d2", "\U0001f6d2\U0001f6d2"),
    VisitorKey("2:", "ab"),
    VisitorKey("{1}", "}"),
    VisitorKey(" ", "\n"),
    VisitorKey("shop", "-inf"),
]


@of_visitors
async def test_tenants_and_visitors_with_odd_characters_never_collide(store):
    owner = await store.claim(0)
    states = {one: Visitor(erased_ms=number) for number, one in enumerate(ODD)}
    wakes = {one: number for number, one in enumerate(ODD)}
    await store.commit(owner, commit(1, states, wakes))
    assert await store.load(owner, ODD) == states
    assert await store.due(owner, len(ODD), 99) == ODD
    await store.commit(owner, commit(2, {ODD[0]: None}, {ODD[0]: None}))
    assert await store.load(owner, ODD) == {one: states[one] for one in ODD[1:]}
    assert await store.due(owner, len(ODD), 99) == ODD[1:]


NAMES = st.builds(
    VisitorKey,
    *[st.text(st.characters(codec="utf-8") | st.sampled_from("0123456789:"), max_size=5)] * 2,
)


@settings(deadline=None)
@given(NAMES, NAMES)
def test_two_visitors_have_one_name_only_if_they_are_one(one, other):
    assert (VISITOR_CODEC.name_of(one) == VISITOR_CODEC.name_of(other)) == (one == other)
    assert VISITOR_CODEC.key_of(VISITOR_CODEC.name_of(one)) == one


# Both implementations, one behaviour

NAMES_OF_KEYS = st.sampled_from(["ann", "bob", "eve"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "commit", "again", "claim", "remove"]),
        st.dictionaries(NAMES_OF_KEYS, st.none() | st.integers(0, 9), max_size=3),
        st.integers(0, 2),
    ),
    max_size=12,
)


@pytest.mark.redis
@given(steps=STEPS)
@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_sequence_of_steps_leaves_both_with_the_same_content(redis_server, steps):
    redis = InRedis(redis_server.url, "sequence")
    await redis.wipe()
    try:
        assert await played(MemoryStore(KIND.codec), steps) == await played(redis.store, steps)
    finally:
        await redis.close()


async def played(store, steps):
    owner, last, seen = await store.claim(0), commit(1), []
    for number, (what, changes, entries) in enumerate(steps, start=1):
        match what:
            case "claim":
                owner = await store.claim(0)
            case "remove":
                waiting = await store.outbox(owner)
                await store.remove(owner, [entry_id for entry_id, _ in waiting[:entries]])
            case "again" if owner.watermark.step:
                seen.append(await store.commit(owner, last))
            case _:
                wakes = {KIND.key(name): at for name, at in changes.items()}
                states = {one: state(at) if at else None for one, at in wakes.items()}
                last = commit(number, states, wakes, [ENTRY] * entries)
                seen.append(len(await store.commit(owner, last)))
        seen.append((owner.next_due_ms, owner.armed, owner.pending, owner.watermark))
    return seen, await content(store)
