import os
import subprocess
import sys
import time

import pytest

from bench.cpu import Reading, apart, cpu_s, machine_s, peak_mib, spent, tree

# A child that has ended has used half a second; one that lives another half; then both wait.
BUSY = "import time\nwhile time.process_time() < 0.5: pass\n"
TELL = "import sys; print(0, flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BUSY!r}])
child = subprocess.Popen([sys.executable, "-c", {BUSY + TELL!r}], stdin=subprocess.PIPE)
sys.stdin.read()
"""


@pytest.fixture
def parent():
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def test_the_cpu_time_of_a_tree_has_its_living_and_its_ended_children(parent):
    assert parent.stdout.readline() == b"0\n"
    found = tree(parent.pid)
    assert found[0] == parent.pid
    assert len(found) == 2
    assert 0.95 <= cpu_s(found) < 1.6
    assert 0.45 <= cpu_s(found[1:]) < 0.8
    assert cpu_s(found) <= machine_s()
    assert peak_mib(parent.pid) > peak_mib(found[1]) > 1


def test_a_process_that_is_gone_has_used_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert cpu_s([process.pid]) == 0
    assert peak_mib(process.pid) == 0


def test_what_was_spent_is_told_per_event_and_process():
    first = Reading(10.0, {"worker": 1.0, "redis": 2.0}, 100.0)
    last = Reading(12.0, {"worker": 2.0, "redis": 2.5}, 103.0)
    assert spent(first, last, 100_000) == {
        "events_per_s": 50_000,
        "worker_us": pytest.approx(10),
        "redis_us": pytest.approx(5),
        "others_cores": pytest.approx(0.75),
    }


def test_a_reading_is_of_now():
    first = Reading.of({"own": os.getpid()})
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    last = Reading.of({"own": os.getpid()})
    assert last.used_s["own"] > first.used_s["own"]
    assert last.at > first.at


def test_work_apart_is_done_by_another_process():
    assert apart(os.getpid) != os.getpid()
