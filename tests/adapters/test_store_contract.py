"""The contract of `stream.shard.ports.Store`, held against every implementation."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.adapters.memory import MemoryStore
from stream.adapters.redis.connection import Connection
from stream.adapters.redis.reader import RedisReader
from stream.adapters.redis.store import RedisStore, member, who
from stream.domain.cart import Cart
from stream.domain.consent import Choice
from stream.domain.session import Session
from stream.domain.visitor import Behaviour, Visitor, VisitorKey
from stream.shard.ports import Commit, Entry, FencedError, RewoundError, Watermark

ANN, BOB, EVE = VisitorKey("shop", "ann"), VisitorKey("shop", "bob"), VisitorKey("shop", "eve")
ENTRY = Entry("triggers", b"ann", b"{}", [("ce_id", b"1")], ("exit_intent", "shop", "ann"))
DEAD = Entry("dead-letters", None, None, [])


class InMemory:
    """The store in memory, with what an operator may do to its data."""

    def __init__(self):
        self.store = MemoryStore()

    async def copy(self):
        return copy.deepcopy(self.store._shards)

    async def restore(self, kept):
        self.store._shards = kept

    async def wipe(self):
        self.store._shards = {}

    async def stopped(self):
        return self.store._shards[0].stopped

    async def close(self):
        pass


class InRedis:
    """The store in a real Redis or cluster, with what an operator may do to its data."""

    def __init__(self, url, group):
        self.connection = Connection(url)
        self.client, self.group = self.connection.client, group
        self.store = RedisStore(self.connection, group)

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


def visitor(at_ms=1, fingerprint="f"):
    behaviour = Behaviour(at_ms, Session(at_ms, at_ms), Cart(fingerprint=fingerprint))
    return Visitor(consent={"personalization": Choice("granted", at_ms)}, behaviour=behaviour)


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


async def test_a_claim_tells_what_was_committed(store):
    owner = await store.claim(0)
    wakes = {ANN: 70, BOB: 50}
    await store.commit(owner, commit(1, {ANN: visitor(), BOB: visitor()}, wakes, [ENTRY]))
    new = await store.claim(0)
    assert new.watermark == Watermark({"cart-events": 10}, 1_000, 1)
    assert (new.next_due_ms, new.armed, new.pending) == (50, 2, 1)


async def test_shards_share_nothing(store):
    one, other = await store.claim(1), await store.claim(2)
    await store.commit(one, commit(1, {ANN: visitor()}, {ANN: 5}, [ENTRY]))
    assert await store.load(other, [ANN]) == {}
    assert await store.due(other, 2**53, 10) == []
    assert await store.outbox(other) == []
    await store.commit(other, commit(7))
    assert (await store.claim(1)).watermark.step == 1


# Committing


async def test_a_commit_writes_states_wake_ups_outbox_and_watermark(store):
    owner = await store.claim(0)
    ids = await store.commit(owner, commit(1, {ANN: visitor(5)}, {ANN: 9}, [ENTRY, DEAD]))
    assert len(set(ids)) == 2
    assert await content(store) == {
        "watermark": Watermark({"cart-events": 10}, 1_000, 1),
        "states": {ANN: visitor(5)},
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
    await store.commit(owner, commit(1, {ANN: visitor(1), BOB: visitor(1)}))
    await store.commit(owner, commit(2, {ANN: visitor(2), BOB: None, EVE: None}))
    assert await store.load(owner, [ANN, BOB, EVE]) == {ANN: visitor(2)}


async def test_an_empty_commit_moves_the_watermark_alone(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: visitor()}, {ANN: 5}, [ENTRY]))
    before = await content(store)
    owner = await store.claim(0)
    assert await store.commit(owner, commit(2)) == []
    after = await content(store)
    assert after == before | {"watermark": commit(2).watermark}


async def test_the_same_commit_again_changes_nothing_and_returns_no_ids(store):
    owner = await store.claim(0)
    first = commit(1, {ANN: visitor(1)}, {ANN: 5}, [ENTRY])
    known = copy.deepcopy(owner)
    assert len(await store.commit(owner, first)) == 1
    assert await store.commit(known, first) == []
    assert (known.watermark, known.next_due_ms, known.pending) == (first.watermark, 5, 1)
    assert [entry for _, entry in await store.outbox(owner)] == [ENTRY]


async def test_a_repeated_commit_is_told_by_its_watermark_and_not_written_again(store):
    owner = await store.claim(0)
    known = copy.deepcopy(owner)
    await store.commit(owner, commit(1, {ANN: visitor(1)}, {ANN: 5}))
    await store.commit(known, commit(1, {ANN: visitor(9)}, {ANN: 9}, [ENTRY]))
    assert await store.load(owner, [ANN]) == {ANN: visitor(1)}
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
    await store.commit(old, commit(1, {ANN: visitor(1)}, {ANN: 5}, [ENTRY]))
    await store.claim(0)
    attempt = commit(2, {ANN: None, BOB: visitor()}, {ANN: None, BOB: 1}, [DEAD])
    await unchanged_by(store, old, attempt, FencedError)


async def test_an_earlier_owner_is_fenced_before_anything_was_committed(store):
    old = await store.claim(0)
    await store.claim(0)
    await unchanged_by(store, old, commit(1, {ANN: visitor()}, {}, [ENTRY]), FencedError)


async def test_an_earlier_owner_repeating_its_last_commit_is_fenced_too(store):
    old = await store.claim(0)
    known = copy.deepcopy(old)
    await store.commit(old, commit(1))
    await store.claim(0)
    with pytest.raises(FencedError):
        await store.commit(known, commit(1))


async def test_a_commit_upon_another_watermark_is_refused_and_writes_nothing(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: visitor(1)}, {ANN: 5}, [ENTRY]))
    owner.watermark, owner.stored = Watermark({"cart-events": 9}, 1_000, 1), b"another"
    attempt = commit(2, {ANN: None, BOB: visitor()}, {ANN: None, BOB: 1}, [DEAD])
    await unchanged_by(store, owner, attempt, RewoundError)


async def test_a_commit_upon_a_watermark_that_was_never_written_is_refused(store):
    owner = await store.claim(0)
    owner.watermark, owner.stored = Watermark({"cart-events": 9}, 1_000, 1), b"another"
    await unchanged_by(store, owner, commit(2, {ANN: visitor()}), RewoundError)


async def test_a_store_with_an_older_copy_of_its_data_is_rewound(kept):
    store = kept.store
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    older = await kept.copy()
    await store.commit(owner, commit(2, {ANN: visitor()}))
    await kept.restore(older)
    await unchanged_by(store, owner, commit(3, {BOB: visitor()}, {}, [ENTRY]), RewoundError)
    assert (await store.claim(0)).watermark == commit(1).watermark


async def test_a_wiped_store_is_rewound_and_not_fenced(kept):
    store = kept.store
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    await kept.wipe()
    await unchanged_by(store, owner, commit(2, {ANN: visitor()}, {}, [ENTRY]), RewoundError)
    with pytest.raises(RewoundError):
        await store.remove(owner, ["1-1"])
    assert (await store.claim(0)).watermark == Watermark()


async def test_a_store_wiped_before_the_first_commit_is_rewound(kept):
    owner = await kept.store.claim(0)
    await kept.wipe()
    await unchanged_by(kept.store, owner, commit(1, {ANN: visitor()}), RewoundError)


async def test_a_claim_that_the_store_has_lost_is_rewound_because_nobody_newer_owns_it(kept):
    store = kept.store
    first = await store.claim(0)
    await store.commit(first, commit(1))
    older = await kept.copy()
    owner = await store.claim(0)
    await kept.restore(older)
    await unchanged_by(store, owner, commit(2, {ANN: visitor()}), RewoundError)
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
    await unchanged_by(store, old, commit(1, {ANN: visitor()}), FencedError)


# Loading


async def test_only_visitors_with_a_state_are_loaded(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: visitor(1)}))
    assert await store.load(owner, [BOB, ANN]) == {ANN: visitor(1)}
    assert await store.load(owner, []) == {}


async def test_a_loaded_state_may_be_changed_without_changing_the_store(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: visitor(1)}))
    loaded = (await store.load(owner, [ANN]))[ANN]
    loaded.consent.clear()
    loaded.behaviour.recent += b"12345678"
    assert await store.load(owner, [ANN]) == {ANN: visitor(1)}


async def test_a_committed_state_may_be_changed_without_changing_the_store(store):
    owner = await store.claim(0)
    mine = visitor(1)
    await store.commit(owner, commit(1, {ANN: mine}))
    mine.behaviour.cart.fingerprint = "other"
    mine.consent["ads"] = Choice("denied", 3)
    assert await store.load(owner, [ANN]) == {ANN: visitor(1)}


async def test_a_last_look_brings_the_states_that_loading_brings(store):
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: visitor(1), EVE: visitor(3)}))
    look = await store.look(owner, [BOB, ANN, EVE])
    assert look.states == {ANN: visitor(1), EVE: visitor(3)}
    assert (await store.look(owner, [])).states == {}


async def test_an_earlier_owners_last_look_is_fenced(store):
    old = await store.claim(0)
    await store.commit(old, commit(1, {ANN: visitor(1)}))
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
    await store.commit(owner, commit(1, {ANN: visitor()}, {BOB: 5}))
    assert await store.load(owner, [ANN, BOB]) == {ANN: visitor()}
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
    many = [VisitorKey("shop", f"v{number}") for number in range(9_001)]
    states = {one: Visitor(erased_ms=number) for number, one in enumerate(many)}
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
    assert (member(one) == member(other)) == (one == other)
    assert who(member(one)) == one


# Both implementations, one behaviour

VISITORS = st.sampled_from([ANN, BOB, EVE])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "commit", "again", "claim", "remove"]),
        st.dictionaries(VISITORS, st.none() | st.integers(0, 9), max_size=3),
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
        assert await played(MemoryStore(), steps) == await played(redis.store, steps)
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
                states = {one: at and Visitor(erased_ms=at) for one, at in changes.items()}
                states = {one: state or None for one, state in states.items()}
                last = commit(number, states, changes, [ENTRY] * entries)
                seen.append(len(await store.commit(owner, last)))
        seen.append((owner.next_due_ms, owner.armed, owner.pending, owner.watermark))
    return seen, await content(store)
