"""A worker as a process that cannot begin: what it says, how it waits, how it ends."""

import json
import signal
import sys

import pytest

from stream.domain.topics import LANES
from tests.rig.processes import LOOPBACK, Worker, free_port, run_cartwake, wait_until

OTHERS = ("triggers", "decisions", "trigger-cancels", "dead-letters", "training-examples")
ENDS_WITHIN_S = 15.0


@pytest.fixture
def settings(group):
    """Return settings under which neither server is there."""
    return {
        "CARTWAKE_KAFKA__BOOTSTRAP": f"{LOOPBACK}:{free_port()}",
        "CARTWAKE_REDIS__URL": f"redis://cartwake:hush@{LOOPBACK}:{free_port()}/0",
        "CARTWAKE_WORKER__GROUP": group,
    }


def make(kafka, partitions):
    kafka.create_topics([*LANES, *OTHERS], partitions)


def waiting(folder, settings, what):
    """Start a worker; return it once it waits for something."""
    worker = Worker(folder, settings)
    worker.start(ready_within_s=None)
    try:
        wait_until(lambda: what in worker.get("/readyz")[1], f"a wait for {what}", 60)
    except BaseException:
        worker.kill()
        raise
    return worker


def is_quiet(output):
    return "Traceback" not in output and "hush" not in output


def test_a_worker_without_redis_says_so_once_lives_and_waits_and_ends_when_told(tmp_path, settings):
    address = settings["CARTWAKE_REDIS__URL"].rpartition("@")[2].partition("/")[0]
    worker = waiting(tmp_path, settings, f"waiting for Redis at {address}")
    try:
        assert worker.get("/healthz")[0] == 200
        assert worker.get("/readyz")[0] == 503
        assert worker.get("/metrics")[0] == 200
        wait_until(lambda: "does not serve" in worker.output, "a word about it")
    finally:
        assert worker.stop(ENDS_WITHIN_S) == 0
    assert worker.output.count(f"Redis at {address} does not serve") == 1
    assert f"Health and metrics on {LOOPBACK}:{worker.metrics_port}" in worker.output
    assert is_quiet(worker.output)


def test_a_worker_without_kafka_says_so_once_lives_and_waits_and_ends_when_told(
    tmp_path, settings, redis_server
):
    settings["CARTWAKE_REDIS__URL"] = redis_server.url
    address = settings["CARTWAKE_KAFKA__BOOTSTRAP"]
    worker = waiting(tmp_path, settings, f"waiting for Kafka at {address}")
    try:
        assert worker.get("/healthz")[0] == 200
        assert worker.get("/readyz")[0] == 503
        wait_until(lambda: "cannot be reached" in worker.output, "a word about it")
    finally:
        assert worker.stop(ENDS_WITHIN_S) == 0
    assert worker.output.count(f"Kafka at {address} cannot be reached") == 1
    assert is_quiet(worker.output)


def test_a_worker_that_works_says_what_it_runs_on_and_what_it_owns_and_no_more(
    tmp_path, settings, redis_server, empty_kafka, group
):
    settings |= {"CARTWAKE_REDIS__URL": redis_server.url, "CARTWAKE_LOG": "json"}
    settings["CARTWAKE_KAFKA__BOOTSTRAP"] = empty_kafka.bootstrap
    make(empty_kafka, 3)
    worker = Worker(tmp_path, settings)
    worker.start()
    try:
        wait_until(lambda: "Owns 3 shards" in worker.output, "its shards")
    finally:
        assert worker.stop(ENDS_WITHIN_S) == 0
    started, owns = [json.loads(line)["event"] for line in worker.output.splitlines()]
    for told in (f"group {group}", empty_kafka.bootstrap, str(redis_server.port), "cart-events"):
        assert told in started
    assert owns == "Owns 3 shards"


def ended(settings, code):
    """Run a worker that must end by itself; return its one line and everything else."""
    port = {"CARTWAKE_WORKER__METRICS_PORT": "0"}
    done = run_cartwake("worker", settings=port | settings, timeout_s=60)
    assert done.returncode == code
    assert is_quiet(done.stderr)
    (line,) = [it for it in done.stderr.splitlines() if it.startswith("cartwake: ")]
    return line.removeprefix("cartwake: "), done.stderr


def test_missing_topics_are_named_with_the_command_that_makes_them(
    settings, redis_server, empty_kafka
):
    settings["CARTWAKE_REDIS__URL"] = redis_server.url
    settings["CARTWAKE_KAFKA__BOOTSTRAP"] = empty_kafka.bootstrap
    line, _ = ended(settings, 1)
    assert "no topic" in line
    assert "cartwake topics create" in line


def test_another_number_of_partitions_than_redis_has_the_state_of_is_refused(
    settings, redis_server, empty_kafka, group
):
    settings["CARTWAKE_REDIS__URL"] = redis_server.url
    settings["CARTWAKE_KAFKA__BOOTSTRAP"] = empty_kafka.bootstrap
    make(empty_kafka, 3)
    with redis_server.client() as client:
        client.set(f"{group}:partitions", 12)
    line, _ = ended(settings, 1)
    assert line == (
        f"the input topics have 3 partitions, but Redis at {LOOPBACK}:{redis_server.port} holds"
        " the state of 12; partitions cannot be changed under a group: use another worker.group,"
        " which reads the log anew"
    )


def test_a_redis_that_would_throw_states_away_is_refused(settings, redis_server):
    settings["CARTWAKE_REDIS__URL"] = redis_server.url
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            line, _ = ended(settings, 1)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert "maxmemory-policy allkeys-lru" in line


def test_an_unknown_setting_is_a_usage_error_that_offers_the_nearest(settings):
    line, _ = ended(settings | {"CARTWAKE_KAFKA__BOOTSTRAPS": "x"}, 2)
    assert "CARTWAKE_KAFKA__BOOTSTRAPS: there is no such setting" in line
    assert line.endswith("CARTWAKE_KAFKA__BOOTSTRAP")


CRASHES = """
import sys
from faust.agents.manager import AgentManager
from stream.cli import main
from stream.worker.liveness import WorkerLiveness

def broken(*_):
    raise ValueError("zoe")

whose = {"ours": (WorkerLiveness, "observe"), "Faust's": (AgentManager, "on_start")}
setattr(*whose[sys.argv[1]], broken)
sys.exit(main(["worker"]))
"""


@pytest.mark.parametrize(
    ("whose", "doing"), [("ours", "observing liveness"), ("Faust's", "working")]
)
def test_a_worker_that_crashes_anywhere_ends_with_70(
    tmp_path, settings, redis_server, empty_kafka, whose, doing
):
    settings["CARTWAKE_REDIS__URL"] = redis_server.url
    settings["CARTWAKE_KAFKA__BOOTSTRAP"] = empty_kafka.bootstrap
    make(empty_kafka, 1)
    worker = Worker(tmp_path, settings, program=(sys.executable, "-c", CRASHES, whose))
    worker.start(ready_within_s=None)
    try:
        assert worker.wait(60) == 70
    finally:
        worker.kill()
    assert f"ValueError while {doing}; the process ends" in worker.output
    assert "in broken" in worker.output
    if whose == "ours":
        assert "zoe" not in worker.output


def test_a_port_in_use_is_named_with_its_setting(tmp_path, settings):
    worker = waiting(tmp_path, settings, "waiting for Redis")
    try:
        port = str(worker.metrics_port)
        line, _ = ended(settings | {"CARTWAKE_WORKER__METRICS_PORT": port}, 1)
    finally:
        worker.stop(ENDS_WITHIN_S)
    assert line == (
        f"worker.metrics_port: {port} on {LOOPBACK} is in use: set another, or 0 for a free one"
    )


def test_an_interrupt_while_waiting_ends_with_130(tmp_path, settings):
    worker = waiting(tmp_path, settings, "waiting for Redis")
    worker.signal(signal.SIGINT)
    assert worker.wait(ENDS_WITHIN_S) == 130
    assert is_quiet(worker.output)
