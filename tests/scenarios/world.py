"""A shard's whole pipeline on a virtual clock: a log of three topics, merge, step, store, sink.

Time passes when a test says so. What is written, fetched and stepped when is the
test's choice, as it is chance in a real cluster.
"""

import json
from typing import NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.outgoing import outgoing
from stream.config.settings import HoldoutSettings, Settings
from stream.domain.policy import Holdout, Policies, Policy
from stream.domain.topics import LANES, TOPIC_OF, TYPE_OF
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.replay import Replay
from stream.shard.merge import Mark, Merge
from stream.shard.shard import Shard
from stream.worker import claimed
from stream.worker.claimed import ClaimedShard

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T0 = 1_480_000_000_000
IDLE = 30 * MINUTE
ALL = 10**9

POLICY = Policy(holdout=Holdout(fraction=0.0))
SETTINGS = Settings(holdout=HoldoutSettings(fraction=0.0))
TOPIC_OF_TYPE = {name: TOPIC_OF[kind] for kind, name in TYPE_OF.items()}
RANKS = {topic: rank for rank, topic in enumerate(LANES)}
SHOE = {"id": "shoe", "price_minor": 4_999, "currency": "EUR"}
ALLOWED = {"personalization": "granted", "marketing_email": "granted"}


class Record(NamedTuple):
    """One record of the log, as Kafka's client hands it out."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


# Events


def event(kind, at_ms, visitor="ann", **fields):
    return {
        "type": kind,
        "id": f"{kind}-{visitor}-{at_ms}",
        "visitor": visitor,
        "at_ms": at_ms,
        **fields,
    }


def consented(at_ms, visitor="ann", purposes=None, **fields):
    return event("consent_updated", at_ms, visitor, purposes=purposes or ALLOWED, **fields)


def refused(at_ms, visitor="ann", purpose="marketing_email"):
    return consented(at_ms, visitor, {purpose: "withdrawn"})


def added(at_ms, visitor="ann", product=SHOE, quantity=1, **fields):
    return event("product_added", at_ms, visitor, product=product, quantity=quantity, **fields)


def bought(at_ms, visitor="ann", order=None, **fields):
    facts = {"order": order or f"o-{at_ms}", "total_minor": 4_999, "currency": "EUR"}
    return event("order_completed", at_ms, visitor, **facts, **fields)


def viewed(at_ms, visitor="ann", **fields):
    return event("page_viewed", at_ms, visitor, url="/", **fields)


def leaving(at_ms, visitor="ann", dwell_ms=5_000, **fields):
    return event("exit_signalled", at_ms, visitor, signal="tab_hidden", dwell_ms=dwell_ms, **fields)


def erasure(at_ms, visitor="ann"):
    return event("erasure_requested", at_ms, visitor)


# Live, a grant that ends in the very moment of a reminder holds it back right before it is sent.
LASTING = (
    *[consented, refused, bought, erasure],
    *[added, viewed, leaving] * 3,
    lambda at_ms, visitor: refused(at_ms, visitor, "personalization"),
    lambda at_ms, visitor: added(at_ms, visitor, quantity=2),
    lambda at_ms, visitor: event("product_removed", at_ms, visitor, product_id="shoe"),
)
MAKERS = (
    *LASTING,
    lambda at_ms, visitor: consented(at_ms, visitor, valid_until_ms=at_ms + 20 * MINUTE),
)


@st.composite
def shopping(draw, makers=MAKERS, visitors=("ann", "bob"), minutes=150, max_size=20):
    """Return events on a grid of minutes, so that they often meet deadlines and each other.

    Everybody consents and fills a cart; what follows is drawn.
    """
    first = [consented(T0, visitor) for visitor in visitors]
    first += [added(T0 + draw(st.integers(1, minutes)) * MINUTE, visitor) for visitor in visitors]
    chosen = st.tuples(
        st.integers(1, minutes), st.sampled_from(visitors), st.integers(0, len(makers) - 1)
    )
    drawn = draw(st.lists(chosen, min_size=3, max_size=max_size, unique=True))
    made = [makers[number](T0 + minute * MINUTE, who) for minute, who, number in sorted(drawn)]
    named = [one | {"id": f"{number}"} for number, one in enumerate(made)]
    return merged([*first, *named])


def merged(events):
    """Return events stored at their own time, in merge order."""
    return sorted(events, key=lambda one: (one["at_ms"], RANKS[TOPIC_OF_TYPE[one["type"]]]))


# The log, and who reads it


class Log:
    """The shard's three partitions, in merge order of their topics."""

    def __init__(self, *events):
        self.topics = {topic: [] for topic in LANES}
        for one in events:
            self.write(one)

    def write(self, event, stored_ms=None):
        """Store an event, at its own time unless ``stored_ms`` says otherwise."""
        timestamp = event["at_ms"] if stored_ms is None else stored_ms
        value, key = json.dumps(event).encode(), event["visitor"].encode()
        return self.append(TOPIC_OF_TYPE[event["type"]], timestamp, key, value)

    def append(self, topic, timestamp, key=None, value=None):
        """Store any record."""
        kept = self.topics[topic]
        kept.append(Record(topic, 0, len(kept), timestamp, key, value))
        return kept[-1]


class World:
    """Everything that outlives a worker."""

    def __init__(self, *events, store=None, sink=None, policy=POLICY, score=lambda *_: None):
        self.now_ms = T0
        self.policy, self.score = policy, score
        self.log = Log(*events)
        self.store = store or MemoryStore(VISITOR_CODEC)
        self.sink = sink or MemorySink()
        # What Kafka has committed.
        self.processed = dict.fromkeys(LANES, claimed.PartitionOffsets(0, 0, 0))

    async def worker(self, *, live=True):
        """Return a new owner of the shard."""
        worker = Worker(self, live=live)
        await worker.claim()
        return worker

    async def minutes(self, worker, minutes):
        """Let time pass for a worker in step with its input."""
        for _ in range(minutes):
            self.now_ms += MINUTE
            await worker.run()

    def published(self, topic, sink=None):
        """Return the values published to a topic, in order."""
        entries = (sink or self.sink).published
        return [json.loads(entry.value) for entry in entries if entry.topic == topic]

    def triggers(self):
        """Return visitor, kind and due moment of each published trigger."""
        return [
            (one["visitor"], one["kind"], one["due_at_ms"]) for one in self.published("triggers")
        ]

    def reasons(self):
        """Return the reason of each published decision."""
        return [one["reason"] for one in self.published("decisions")]


class Worker:
    """One owner of the shard: what the Kafka edge does, with the chances in the test's hands."""

    def __init__(self, world, *, live):
        self.world, self.live = world, live
        self._ticks = 0.0

    @property
    def shard(self):
        return self.owned.shard

    @property
    def merge(self):
        return self.owned.merge

    async def claim(self):
        world = self.world
        visitors = VisitorEntity(Policies(world.policy), world.score)
        owner = await world.store.claim(0, visitors.policy_digest)
        known = owner.watermark.offsets
        merge = Merge({topic: known.get(topic, 0) for topic in LANES})
        shard = Shard(owner, world.store, world.sink, _encode, visitors)
        self.owned = ClaimedShard(shard, merge, world.processed)
        await self.owned.resume(world.now_ms, live=self.live)
        self._tell_kafka()

    def fetch(self, topic, limit=ALL):
        """Receive at most so many records of a topic, and where its end was."""
        lane, kept = self.merge.lanes[topic], self.world.log.topics[topic]
        asked = self._tick()
        position = min(lane.position + limit, len(kept))
        lane.receive(kept[lane.position : position], position, self._tick())
        lane.mark(Mark(asked, self.world.now_ms, len(kept)))

    def fetch_all(self):
        """Receive all there is; the second round says that nothing came in between."""
        for topic in [*self.merge.lanes, *self.merge.lanes]:
            self.fetch(topic)

    async def step(self, limit=ALL):
        """Take a step over at most so many records; None where there was nothing to do."""
        if not self.owned.has_work(live=self.live):
            return None
        batch = self.batch(limit)
        report = await self.shard.step(batch)
        self.owned.advance_published()
        self._tell_kafka()
        return report

    def _tell_kafka(self):
        offsets, clock_ms = self.owned.processed()
        self.world.processed = {
            topic: claimed.PartitionOffsets(0, at, at, clock_ms) for topic, at in offsets.items()
        }

    def batch(self, limit=ALL):
        """Take what the next step is made of."""
        with patch.object(claimed, "MAX_BATCH", limit):
            return self.owned.batch(self.world.now_ms, live=self.live)

    async def run(self, limit=ALL):
        """Fetch and step until there is nothing left to do."""
        self.fetch_all()
        reports = []
        while report := await self.step(limit):
            reports.append(report)
        return reports

    def _tick(self):
        self._ticks += 1
        return self._ticks


def _encode(effect, recorded_ms):
    return outgoing(effect, recorded_ms, "test")


# What replay makes of the same events


class Collected(MemorySink):
    """Stands for the files of a replay."""

    def write_dead_letters(self, letters):
        assert not list(letters)


async def replayed(events, drain_ms=0):
    """Return what a replay of these events decides."""
    collected = Collected()
    lines = [(number, json.dumps(one).encode()) for number, one in enumerate(events, start=1)]
    await Replay(SETTINGS, collected).run(lines, drain_ms)
    return decided(collected)


def decided(sink):
    """Return all that was decided, as comparable text; ``score`` may depend on the batches."""
    values = [
        (entry.topic, json.loads(entry.value))
        for entry in sink.published
        if entry.topic in {"triggers", "decisions", "trigger-cancels"}
    ]
    return sorted(
        json.dumps([topic, {k: v for k, v in value.items() if k != "score"}], sort_keys=True)
        for topic, value in values
    )
