"""Contracts with the insides of Faust and aiokafka that the transport stands on.

The one rule: one seam, one test, named after what it promises. Whoever raises a pinned version
reads here what has to hold, and which of it does no longer.
"""

import asyncio
import importlib.metadata
import inspect
import re
import tomllib
from types import SimpleNamespace

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher as fetching
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.fetch import FetchRequest
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from prometheus_client import CollectorRegistry

from stream.config.settings import KafkaSettings, Settings, WorkerSettings
from stream.domain.topics import LANES, TRAINING_EXAMPLES
from stream.worker.app import build_app
from stream.worker.faust import transport
from stream.worker.faust.options import faust_options
from stream.worker.faust.pipeline import Pipeline
from stream.worker.faust.transport import AsIs
from stream.worker.liveness import WorkerLiveness
from stream.worker.metrics import Metrics
from tests.rig.processes import REPOSITORY

PINNED = ("faust-streaming", "aiokafka", "mode-streaming")
WITHIN_S = 60


@pytest.fixture
async def app():
    """The real app, as far as it comes without connecting."""
    metrics = Metrics(CollectorRegistry())
    made = build_app(Settings(), metrics, WorkerLiveness(metrics, "kafka"))
    made.finalize()
    yield made
    made.consumer._thread.thread_loop.close()  # of a thread that was never started


# The versions


@pytest.mark.parametrize("package", PINNED)
def test_the_version_installed_is_the_one_that_is_pinned(package):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    installed = importlib.metadata.version(package)
    assert f"{package}=={installed}" in project["dependencies"]
    locked = (REPOSITORY / "requirements.lock").read_text()
    assert re.search(rf"^{re.escape(package)}=={re.escape(installed)}\b", locked, re.MULTILINE)


# Faust, running


class Thing:
    """Something that only arrives untouched if nobody looks into it."""

    __slots__ = ()


class Recorder(driver.Consumer):
    """Faust's consumer with our overrides, which note when Faust calls them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.notes = self.app.notes

    async def perform_seek(self):
        self.notes.calls.append("perform_seek")
        self.notes.sought_for = set(self.assignment())

    def resume_flow(self):
        self.notes.calls.append("resume_flow")
        super().resume_flow()

    async def on_partitions_assigned(self, assigned, generation_id=0):
        self.notes.calls.append("on_partitions_assigned")
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked):
        self.notes.calls.append("on_partitions_revoked")
        await super().on_partitions_revoked(revoked)

    async def force_commit(self, *_, **__):
        self.notes.calls.append("force_commit")
        self.notes.committed.set()
        return True

    async def _getmany(self, active_partitions, timeout):  # noqa: ASYNC109
        self.notes.calls.append("_getmany")
        self.notes.active = set(active_partitions)
        await asyncio.sleep(0)
        tp = TP(self.notes.topic, 0)
        handed, self.notes.to_hand = self.notes.to_hand, []
        return {tp: handed} if handed else {}

    def _to_message(self, tp, record):
        offset, value = record
        return ConsumerMessage(
            tp.topic, tp.partition, offset, 0.0, 0, [], None, value, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip


class Probe(Pipeline):
    """The pipeline's kind of app with a consumer that is watched."""

    def __init__(self, notes, *args, **options):
        super().__init__(*args, **options)
        self.notes = notes

    def _new_transport(self):
        made = driver.Transport(self.conf.broker_consumer, self)
        made.Consumer = Recorder
        return made

    _new_producer_transport = _new_transport

    async def on_stop(self):
        await faust.App.on_stop(self)


async def _watched(bootstrap, topic, group):
    """Run a probe until Faust has done everything once; return what was noted."""
    things = [Thing() for _ in range(3)]
    notes = SimpleNamespace(
        calls=[],
        active=set(),
        topic=topic,
        things=things,
        # Offsets fall in the middle: Faust remembers the highest and drops what lies below.
        to_hand=[(7, things[0]), (3, things[1]), (8, things[2])],
        arrived=[],
        committed=asyncio.Event(),
        got=asyncio.Event(),
    )
    options = faust_options(
        Settings(kafka=KafkaSettings(bootstrap=bootstrap), worker=WorkerSettings(group=group))
    )
    app = Probe(notes, group, **options)

    @app.agent(app.topic(topic, schema=AsIs(), acks=False), name="probe")
    async def take(stream):
        async for thing in stream:
            notes.arrived.append(thing)
            if thing is things[-1]:
                notes.got.set()

    app.finalize()
    await app.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            await notes.got.wait()
            await notes.committed.wait()
        consumer = app.consumer
        notes.acked = dict(consumer._acked), len(consumer.unacked)
        notes.read_offset = dict(consumer._read_offset)
        notes.thread = consumer._thread
        notes.fetch_wait_ms = notes.thread._consumer._fetcher._fetch_max_wait_ms
        notes.services = list(app.boot_strategy.server())
        app.conf.web_enabled = True  # as it is under Faust's own worker, whatever was asked for
        notes.wants_web = app.boot_strategy._should_enable_web()
    finally:
        notes.calls.append("stop")
        await app.stop()
    return notes


@pytest.fixture(scope="module")
def watched(kafka_server):
    """What was noted of one run of Faust on a real broker."""
    topic = "seams-carts"
    kafka_server.create_topics([topic], 2)
    return asyncio.run(_watched(kafka_server.bootstrap, topic, "seams"))


def test_getmany_hands_the_agent_the_very_value_that_our_getmany_returned(watched):
    assert watched.arrived[0] is watched.things[0]


def test_a_record_with_a_lower_number_than_the_last_is_dropped_without_a_word(watched):
    assert watched.arrived == [watched.things[0], watched.things[2]]
    assert watched.read_offset[TP(watched.topic, 0)] == 8


def test_our_getmany_is_told_the_active_partitions(watched):
    assert watched.active == {TP(watched.topic, 0), TP(watched.topic, 1)}


def test_seeking_comes_after_the_assignment_and_before_the_flow(watched):
    order = [it for it in watched.calls if it != "force_commit"]
    assigned, sought = order.index("on_partitions_assigned"), order.index("perform_seek")
    assert assigned < sought < order.index("resume_flow") < order.index("_getmany")
    assert watched.sought_for == {TP(watched.topic, 0), TP(watched.topic, 1)}


def test_without_acks_faust_remembers_nothing_of_what_it_has_handed_on(watched):
    assert watched.acked == ({}, 0)


def test_the_commit_timer_and_the_stop_end_in_force_commit(watched):
    assert "force_commit" in watched.calls[: watched.calls.index("stop")]
    assert "force_commit" in watched.calls[watched.calls.index("stop") :]


def test_faust_starts_no_web_server(watched):
    assert not watched.wants_web
    assert not [it for it in watched.services if "web" in type(it).__module__]


def test_fausts_own_fetch_wait_is_too_long_to_be_left_alone(watched):
    assert watched.fetch_wait_ms == 1500


# Faust, in parts


def test_getmany_asks_our_getmany_by_the_names_that_it_has():
    parameters = inspect.signature(driver.Consumer._getmany).parameters
    assert list(parameters) == ["self", "active_partitions", "timeout"]


def test_after_seeking_by_fausts_own_way_what_has_lower_numbers_would_be_dropped():
    source = inspect.getsource(driver.AIOKafkaConsumerThread._seek_wait)
    assert "self.consumer._read_offset[tp] = offset" in source


def test_an_empty_assignment_is_told_but_nothing_is_sought():
    source = inspect.getsource(Recovery)
    calls = [found.start() for found in re.finditer(r"consumer\.perform_seek\(\)", source)]
    assert len(calls) == 2
    assert all("if assignment:" in source[max(0, at - 600) : at] for at in calls)


async def test_the_transport_makes_our_consumer_and_our_producer(app):
    assert type(app.transport).__module__ == "stream.worker.faust.transport"
    assert app.transport.Consumer.__module__ == "stream.worker.faust.transport"
    assert type(app.producer).__module__ == "stream.worker.faust.transport"


def test_our_overrides_still_override_something():
    for cls in (transport.Consumer, transport.ConsumerThread, transport.Producer):
        inherited = set(dir(cls.__mro__[1]))
        assert {
            "Consumer": {
                "_getmany",
                "_new_consumer_thread",
                "_to_message",
                "force_commit",
                "on_partitions_assigned",
                "on_partitions_revoked",
                "perform_seek",
            },
            "ConsumerThread": {
                "_create_worker_consumer",
                "_ensure_consumer",
                "call_thread",
                "on_start",
                "verify_event_path",
            },
            "Producer": {"_ensure_producer", "_settings_extra"},
        }[cls.__name__] <= inherited


async def test_the_producer_waits_for_all_replicas_and_repeats_nothing(app):
    producer = app.producer._new_producer()
    try:
        assert producer._txn_manager is not None
        assert producer._sender._acks == -1
    finally:
        await producer.stop()


async def test_the_consumer_thread_lets_the_fetch_wait_be_set_before_its_start(app):
    thread = app.consumer._thread
    consumer = thread._create_worker_consumer(app.transport)
    try:
        assert consumer._fetch_max_wait_ms == 20
        assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in inspect.getsource(
            AIOKafkaConsumer.start
        )
    finally:
        await consumer.stop()


def cluster(partitions):
    """Return what an assignor asks of the cluster: how many partitions each topic has."""
    made = ClusterMetadata()
    made._partitions = {
        topic: {number: SimpleNamespace(leader=1) for number in range(count)}
        for topic, count in partitions.items()
    }
    return made


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("partitions", [1, 4, 12])
async def test_the_assignor_keeps_the_topics_of_one_partition_number_together(
    app, workers, partitions
):
    assignor = app.assignor
    topics = {*LANES, TRAINING_EXAMPLES}
    known = cluster(dict.fromkeys(LANES, partitions) | {TRAINING_EXAMPLES: 1})
    members = {f"worker-{number}": assignor.metadata(topics) for number in range(workers)}
    assigned = assignor.assign(known, members)
    owners = {
        (topic, number): member
        for member, assignment in assigned.items()
        for topic, numbers in assignment.assignment
        for number in numbers
    }
    assert len(owners) == len(LANES) * partitions + 1
    for number in range(partitions):
        assert len({owners[topic, number] for topic in LANES}) == 1
    shares = [sum(member == owner for owner in owners.values()) // len(LANES) for member in members]
    assert max(shares) - min(shares) <= 1


async def test_the_consumer_is_given_that_assignor_although_there_are_no_tables(app):
    consumer = app.consumer._thread._create_worker_consumer(app.transport)
    try:
        assert consumer._partition_assignment_strategy == [app.assignor]
    finally:
        await consumer.stop()


# aiokafka


@pytest.fixture
async def consumer(kafka_server, topic_prefix):
    """A consumer of one partition with one record, at its beginning."""
    topic = f"{topic_prefix}seam"
    kafka_server.create_topics([topic], 1)
    kafka_server.produce(topic, [(None, b"1", 1_480_000_000_000, None, 0)])
    made = AIOKafkaConsumer(
        bootstrap_servers=kafka_server.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    await made.start()
    made.assign([TopicPartition(topic, 0)])
    await made.position(TopicPartition(topic, 0))
    yield made
    await made.stop()


def state_of(consumer):
    (tp,) = consumer.assignment()
    assignment = consumer._subscription.subscription.assignment
    assert tp in assignment.tps
    return assignment, assignment.state_value(tp)


def test_the_fetch_routine_finds_the_fetch_by_its_name_each_time():
    # Replaced on the instance: a routine that kept the bound method would never call ours.
    source = inspect.getsource(fetching.Fetcher._fetch_requests_routine)
    assert "self._proc_fetch_request(assignment, node_id, request)" in source
    assert list(inspect.signature(fetching.Fetcher._proc_fetch_request).parameters) == [
        "self",
        "assignment",
        "node_id",
        "request",
    ]


async def test_a_fetch_request_names_the_partitions_that_it_asks_for(consumer):
    fetcher = consumer._fetcher
    asked = asyncio.Event()
    seen = []
    fetch = fetcher._proc_fetch_request

    async def watched(assignment, node_id, request):
        seen.extend((topic, part) for topic, parts in request.topics for part, *_ in parts)
        asked.set()
        return await fetch(assignment, node_id, request)

    fetcher._proc_fetch_request = watched
    (tp,) = consumer.assignment()
    await fetcher.fetched_records({tp}, timeout=5)  # to make room for the next fetch
    async with asyncio.timeout(WITHIN_S):
        await asked.wait()
    assert set(seen) == {tuple(tp)}


async def test_a_good_answer_sets_timestamp_and_highwater(consumer):
    (tp,) = consumer.assignment()
    await consumer.getone()
    _, state = state_of(consumer)
    assert state.timestamp is not None
    assert (state.highwater, state.position, state.has_valid_position) == (1, 1, True)
    assert consumer.highwater(tp) == 1


@pytest.mark.parametrize("error_code", [1, 3, 6, 29])
async def test_an_answer_with_an_error_sets_no_timestamp(consumer, error_code):
    (tp,) = consumer.assignment()
    await consumer.getone()
    assignment, state = state_of(consumer)
    state.timestamp = None
    answer = SimpleNamespace(
        API_VERSION=4, topics=[(tp.topic, [(tp.partition, error_code, 99, 99, [], b"")])]
    )
    await _answered(consumer, assignment, answer)
    assert (state.timestamp, state.highwater) == (None, 1)


async def test_a_fetch_that_is_not_answered_sets_no_timestamp(consumer):
    await consumer.getone()
    assignment, state = state_of(consumer)
    state.timestamp = None
    await _answered(consumer, assignment, fetching.Errors.KafkaConnectionError())
    assert state.timestamp is None


async def test_an_answer_for_a_position_that_was_left_meanwhile_sets_no_timestamp(consumer):
    (tp,) = consumer.assignment()
    await consumer.getone()
    assignment, state = state_of(consumer)
    state.timestamp = None
    answer = SimpleNamespace(
        API_VERSION=4, topics=[(tp.topic, [(tp.partition, 0, 99, 99, [], b"")])]
    )
    await _answered(consumer, assignment, answer, offset=0)
    assert state.timestamp is None


async def _answered(consumer, assignment, answer, offset=1):
    """Let a fetch have this answer, with the fetcher's own routine standing still."""
    fetcher = consumer._fetcher
    fetcher._fetch_task.cancel()
    await asyncio.gather(*fetcher._pending_tasks, return_exceptions=True)
    fetcher._records.clear()
    (tp,) = consumer.assignment()
    assignment.state_value(tp).timestamp = None
    fetcher._retry_backoff = 0

    async def send(node_id, request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    before, fetcher._client.send = fetcher._client.send, send
    try:
        request = FetchRequest(20, 1, 1, 0, [(tp.topic, [(tp.partition, offset, 1)])])
        await fetcher._proc_fetch_request(assignment, 1, request)
    finally:
        fetcher._client.send = before


async def test_fetched_records_without_a_timeout_returns_at_once(consumer):
    await consumer.getone()
    (tp,) = consumer.assignment()
    assert inspect.signature(consumer._fetcher.fetched_records).parameters["timeout"].default == 0
    with consumer._subscription.fetch_context():
        waited = asyncio.ensure_future(consumer._fetcher.fetched_records({tp}))
        for _ in range(3):
            await asyncio.sleep(0)
        assert waited.done()
        assert waited.result() == {}


async def test_the_fetcher_shares_its_consumers_subscriptions(consumer):
    assert consumer._fetcher._subscriptions is consumer._subscription


async def test_subscriptions_tell_of_a_rebalance_until_the_assignment_is_there():
    subscriptions = SubscriptionState()
    subscriptions.subscribe({"carts"})
    assert subscriptions.reassignment_in_progress is True
    subscriptions.assign_from_subscribed({TopicPartition("carts", 0)})
    assert subscriptions.reassignment_in_progress is False
    subscriptions.begin_reassignment()
    assert subscriptions.reassignment_in_progress is True


async def test_seeking_holds_at_once_and_only_for_what_is_assigned(consumer):
    (tp,) = consumer.assignment()
    await consumer.getone()
    consumer.seek(tp, 0)
    _, state = state_of(consumer)
    assert state.position == 0
    assert (await consumer.getone()).value == b"1"
    with pytest.raises(fetching.Errors.IllegalStateError):
        consumer.seek(TopicPartition("elsewhere", 0), 0)


async def test_what_was_committed_beside_an_offset_comes_back_with_it(
    kafka_server, topic_prefix, group
):
    topic = f"{topic_prefix}seam"
    kafka_server.create_topics([topic], 2)
    one, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_server.bootstrap, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([one, other])
        await consumer.commit({one: (5, "1480000000000")})
        known = await consumer._coordinator.fetch_committed_offsets([one, other])
    finally:
        await consumer.stop()
    assert (known[one].offset, known[one].metadata) == (5, "1480000000000")
    # What was never committed is told as below the beginning, or not at all.
    assert other not in known or known[other].offset == -1
