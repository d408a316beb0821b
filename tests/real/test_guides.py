"""The guides, done as they say: their own shell, on a real Kafka and Redis, and in the demo.

The one rule: beside addresses, nothing is changed but how long somebody waits.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import alike, blocks, replaced
from tests.rig.processes import LOOPBACK, Program, cartwake_command, cartwake_environment, free_port

HEADS = ("1. Mails, by `cartwake emailer`", "2. A sender by HTTP", "3. A consumer of your own")
# Whoever copies a block has it to the end before the next; the shell's own jobs end with it.
PREFACE = """
set -u
trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
"""
# What somebody waits for who has time, and how a test knows that it has come.
WAITS = {
    "sleep 12\ncurl": "curl -s localhost:9464/metrics | grep -q '^cartwake_decisions_total'",
    "sleep 15\ngrep": "curl -s localhost:9466/metrics | grep -q 'messages.*\"sent\"'",
    "sleep 15\ncat": "[ $(wc -l < receiver.log) = 3 ]",
    "sleep 13\ncurl": "sleep 3",
    "sleep 10\ncat": "[ $(wc -l < sender.log) = 3 ]",
}
# Another each time: what a Kafka without any group says, its address, and the clocks of shards.
NOT_HERE = re.compile(r"group cartwake: is not told|^ +\d+ +127|Kafka: answers at")


def sh(guide, heading):
    return "".join(block.text for block in blocks(guide, "sh", heading))


def shown(guide, heading):
    """Return the lines of output that a chapter shows."""
    texts = "".join(block.text for block in blocks(guide, "text", heading))
    return [line for line in texts.splitlines() if line and not NOT_HERE.search(line)]


def environment(settings):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return cartwake_environment(settings) | {"PATH": path}


def run(text, folder, variables, timeout_s):
    """Run shell to its end, and return what it prints, with all that it left behind ended."""
    log = folder / "shell.log"
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", PREFACE + text],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert shell.wait(timeout_s) == 0, log.read_text()
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
    return log.read_text()


def test_from_nothing_to_a_trigger_a_mail_a_webhook_and_a_consumer(
    empty_kafka, empty_redis, tmp_path
):
    ports = {name: str(free_port()) for name in ("8080", "9464", "9466", "1025", "8001")}
    addresses = {
        "localhost:9092": empty_kafka.bootstrap,
        "redis://localhost:6379/0": empty_redis.url,
        "for port in 9464 8080": f"for port in {ports['9464']} {ports['8080']}",
    } | {f"localhost:{old}": f"localhost:{new}" for old, new in ports.items()}
    folder = tmp_path / "trial"
    folder.mkdir()
    for language, name, head in (("python", "receiver.py", 1), ("python", "sender.py", 2)):
        (block,) = blocks("messages", language, HEADS[head])
        text = block.text.replace('"localhost", 8001', f'"localhost", {ports["8001"]}')
        (folder / name).write_text(
            text.replace("localhost:9092", empty_kafka.bootstrap).replace(
                "localhost:8080", f"localhost:{ports['8080']}"
            )
        )
    chapters = [sh("pipeline", "First success"), *(sh("messages", head) for head in HEADS)]
    waits = {
        old: f"until {condition}; do sleep 0.2; done\n{old.split()[-1]}"
        for old, condition in WAITS.items()
    }
    text = replaced("\n".join(chapters), waits | addresses | {"idle_s = 10": "idle_s = 1"})
    settings = {
        "CARTWAKE_EDGE__LISTEN": f"{LOOPBACK}:{ports['8080']}",
        "CARTWAKE_EDGE__METRICS_PORT": "0",
        "CARTWAKE_WORKER__METRICS_PORT": ports["9464"],
        "CARTWAKE_EMAILER__METRICS_PORT": ports["9466"],
        "CARTWAKE_EMAILER__SMTP_URL": f"smtp://localhost:{ports['1025']}",
        "CARTWAKE_WEBHOOKS__METRICS_PORT": "0",
    }
    output = run(text, tmp_path, environment(settings), 240)
    printed = {alike(line) for line in output.splitlines()}
    for guide, heads in (("pipeline", ["First success"]), ("messages", HEADS)):
        for line in (one for head in heads for one in shown(guide, head)):
            assert alike(line) in printed, f"{line}\n{output}"
    # The webhooks are at work when v-4714 leaves a cart, too; the sender begins after the refusal.
    reminded = (folder / "receiver.log").read_text().splitlines()
    assert set(reminded) >= {f"remind v-471{n} of 2580" for n in (1, 2, 3)}
    assert len(reminded) == len(set(reminded))
    sent = sorted((folder / "sender.log").read_text().split("\n"))
    assert sent == ["", *(f"sent v-471{n} 2580" for n in (1, 2, 3))]


@pytest.fixture
def demo(tmp_path):
    """Return the address of a demo's shop, as the guide starts it."""
    started, _ = blocks("storefront", "sh", "First success")
    assert started.text.split() == ["CARTWAKE_HOLDOUT__FRACTION=0", ".venv/bin/cartwake", "demo"]
    told = {"CARTWAKE_HOLDOUT__FRACTION": "0", "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    program = Program(cartwake_command("demo"), tmp_path / "demo.log", cartwake_environment(told))
    program.start()
    try:
        program.wait_until_ready(lambda: "all is ready" in program.output, 90)
        yield re.findall(r"http://[\d.:]+", program.output)[0]
    finally:
        program.stop(60)


def test_a_shops_developer_gets_an_action_from_the_demo(demo, tmp_path):
    _, asked = blocks("storefront", "sh", "First success")
    printed = run(
        replaced(asked.text, {"http://127.0.0.1:44023": demo}) + "\ntrue",
        tmp_path,
        environment({}),
        60,
    )
    assert '{"accepted":3,"refused":[],"ignored":0}' in printed
    assert "event: action" in printed
    offer = shown("storefront", "First success")[-1]
    assert offer in printed
