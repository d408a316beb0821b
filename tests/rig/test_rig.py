"""Servers and processes of the rig: what tests stand on must hold."""

import signal
import sys
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from tests.rig.processes import Program, Worker, cartwake_environment, wait_until
from tests.rig.redis import Redis

AUGUST_2016_MS = 1_470_034_800_000

READY = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
http.server.HTTPServer(("127.0.0.1", {port}), Page).serve_forever()
"""


@pytest.fixture
def python(tmp_path):
    started = []

    def program(script):
        started.append(Program((sys.executable, "-u", "-c", script), tmp_path / "log"))
        started[-1].start()
        return started[-1]

    yield program
    for each in started:
        each.kill()


# Processes


def test_a_program_is_stopped_by_sigterm_and_its_exit_code_returned(python):
    script = "import signal,sys,time\nsignal.signal(15, lambda *_: sys.exit(7))\nprint('up')\n"
    program = python(script + "time.sleep(60)")
    program.wait_until_ready(lambda: "up" in program.output)
    assert program.stop() == 7
    assert not program.running


def test_a_killed_program_ends_without_a_word(python):
    program = python("import time; time.sleep(60)")
    program.kill()
    assert program.wait() == -signal.SIGKILL


def test_a_paused_program_goes_on_when_it_is_resumed(python):
    program = python("import time\nwhile True: print('x'); time.sleep(0.01)")
    program.pause()
    state = Path(f"/proc/{program.pid}/stat")
    wait_until(lambda: state.read_text().split()[2] == "T", "the process to be stopped")
    written = len(program.output)
    program.resume()
    wait_until(lambda: len(program.output) > written, "new output")


def test_a_program_that_ends_before_it_is_ready_is_told_with_its_output(python):
    program = python("print('no such topic'); raise SystemExit(3)")
    with pytest.raises(RuntimeError, match=r"code 3 (.|\n)*no such topic"):
        program.wait_until_ready(lambda: False)


def test_waiting_in_vain_ends_and_names_what_it_waited_for():
    with pytest.raises(TimeoutError, match="the impossible"):
        wait_until(lambda: False, "the impossible", timeout_s=0)


def test_a_worker_sees_the_settings_of_its_test_and_no_others(monkeypatch):
    monkeypatch.setenv("CARTWAKE_DATA", "elsewhere")
    environment = cartwake_environment({"CARTWAKE_WORKER__GROUP": "mine"})
    names = {name for name in environment if name.startswith("CARTWAKE_")}
    assert names == {"CARTWAKE_WORKER__GROUP"}


def test_a_worker_is_ready_once_its_page_says_so(tmp_path):
    worker = Worker(tmp_path, {})
    worker.command = (sys.executable, "-c", READY.format(port=worker.metrics_port))
    assert worker.get("/metrics") == (0, "")
    with worker:
        assert worker.get("/metrics") == (200, "/metrics")
    assert not worker.running


# Kafka


def test_records_come_back_as_they_were_written(kafka_server, topic_prefix):
    topic = f"{topic_prefix}round-trip"
    kafka_server.create_topics([topic], partitions=3)
    headers = [("reason", b"bad_key"), ("offset", b"12")]
    records = [
        (b"ann", b"{}", AUGUST_2016_MS, None, 2),
        (None, b"no key", AUGUST_2016_MS - 1, headers, 2),
        (b"bob", None, AUGUST_2016_MS + 5, None, 0),
    ]
    assert kafka_server.produce(topic, records) == 3
    found = [
        (m.key, m.value, m.timestamp_ms, m.headers, m.partition, m.offset)
        for m in kafka_server.read_all(topic)
    ]
    assert found == [
        (b"bob", None, AUGUST_2016_MS + 5, {}, 0, 0),
        (b"ann", b"{}", AUGUST_2016_MS, {}, 2, 0),
        (None, b"no key", AUGUST_2016_MS - 1, dict(headers), 2, 1),
    ]
    assert kafka_server.end_offsets(topic) == {0: 1, 1: 0, 2: 2}


def test_an_empty_topic_is_read_to_its_end_at_once(kafka_server, topic_prefix):
    kafka_server.create_topics([f"{topic_prefix}empty"], partitions=2)
    assert kafka_server.read_all(f"{topic_prefix}empty") == []


def test_keys_go_where_javas_producers_send_them(kafka_server, topic_prefix):
    topic = f"{topic_prefix}murmur2"
    kafka_server.create_topics([topic], partitions=12)
    # The hashes that Kafka's own UtilsTest expects.
    hashes = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"abc": 479470107,
    }
    kafka_server.produce(topic, ((key, b"", AUGUST_2016_MS, None, None) for key in hashes))
    found = {message.key: message.partition for message in kafka_server.read_all(topic)}
    assert found == {key: (value & 0x7FFFFFFF) % 12 for key, value in hashes.items()}


def test_topics_are_not_made_by_use(kafka_server, topic_prefix):
    with pytest.raises(KafkaException):
        kafka_server.end_offsets(f"{topic_prefix}nobody-made-it")
    assert f"{topic_prefix}nobody-made-it" not in kafka_server.topics()


def test_a_deleted_topic_can_be_made_again_with_other_partitions(empty_kafka, topic_prefix):
    topic = f"{topic_prefix}again"
    empty_kafka.create_topics([topic], partitions=4)
    empty_kafka.produce(topic, [(b"ann", b"{}", AUGUST_2016_MS, None, 0)])
    empty_kafka.delete_topics([topic])
    empty_kafka.create_topics([topic], partitions=2)
    assert empty_kafka.topics() == {topic: 2}
    assert empty_kafka.end_offsets(topic) == {0: 0, 1: 0}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_keeps_address_and_records_when_it_is_restarted(kafka_server, topic_prefix, end):
    topic, address, pid = f"{topic_prefix}kept", kafka_server.bootstrap, kafka_server.pid
    kafka_server.create_topics([topic], partitions=1)
    kafka_server.produce(topic, [(b"ann", b"{}", AUGUST_2016_MS, None, None)])
    before = kafka_server.read_all(topic)
    getattr(kafka_server, end)()
    kafka_server.start()
    assert kafka_server.read_all(topic) == before
    assert (kafka_server.bootstrap, kafka_server.pid != pid) == (address, True)


# Redis


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_redis_keeps_address_and_data_when_it_is_restarted(redis_server, group, end):
    with redis_server.client() as client:
        client.set(group, "kept")
    address = redis_server.url
    getattr(redis_server, end)()
    redis_server.start()
    with redis_server.client() as client:
        assert client.get(group) == b"kept"
    assert redis_server.url == address


def test_an_emptied_redis_has_no_keys(redis_server, empty_redis):
    with redis_server.client() as client:
        assert client.dbsize() == 0


def test_a_redis_without_append_only_file_has_lost_all_after_a_restart(redis_server, tmp_path):
    forgetful = Redis(tmp_path, appendonly=False)
    try:
        forgetful.start()
        with forgetful.client() as client:
            client.set("cart", "full")
        forgetful.restart()
        with forgetful.client() as client:
            assert client.dbsize() == 0
    finally:
        forgetful.stop()


def test_redis_refuses_to_evict(redis_server):
    with redis_server.client() as client:
        policy = client.config_get("maxmemory-policy")
    assert policy in ({b"maxmemory-policy": b"noeviction"}, {"maxmemory-policy": "noeviction"})
