"""The edge: what an event costs the collector, beside a bare handler; an outage; open streams.

The one rule: server and client share two cores with Kafka, so that the CPU time of the server's
process is the figure, and events per second are a machine's mood.
"""

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from aiokafka import AIOKafkaProducer

from bench.cartwake import OUTPUTS, TRAINING
from bench.cpu import Reading
from bench.events import PARTITIONS, Log
from bench.http_load import Asked, ask, listen, post
from bench.results import Run, latencies
from stream.domain.topics import LANES
from stream.edge.visitors import Visitors
from tests.rig.kafka import Kafka
from tests.rig.processes import LOOPBACK, Program, cartwake_environment, free_port, wait_until

SECONDS, WARM_S = 10.0, 3.0
BATCHES = (1, 20)
OUTAGE_S = 30.0
OUTAGE_RATE = 100.0
STREAMS = 5_000
BLOCKS = 100
SERVER_KEY, SIGNING_KEY = "the server's secret key", "the signing key of a benchmark"
LOGIN = f"Authorization: Basic {b64encode(f'{SERVER_KEY}:'.encode()).decode()}"
KEYS = [
    {"key": SERVER_KEY, "tenant": "shop", "kind": "server"},
    {"key": "page", "tenant": "shop", "kind": "browser", "origins": ["https://shop.example"]},
]


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:  # noqa: ARG001 - makes its own
    """Measure the collector beside its floor, and then, once, an outage."""
    run.source = "page views made up on the spot"
    with _kafka(folder) as kafka:
        for repeat in range(1, repeats + 1):
            for batch in BATCHES:
                for name, program in (("edge", _edge), ("bare handler", _bare)):
                    with program(kafka, folder / f"{name}-{repeat}-{batch}") as (server, port):
                        figures = _driven(server, port, batch)
                    run.note(f"{name}, batch of {batch}", repeat, figures)
    with _kafka(folder / "outage") as kafka, _edge(kafka, folder / "away") as (_, port):
        run.note(f"edge, Kafka away for {OUTAGE_S:g} s", 1, _outage(kafka, port))


def measure_streams(run: Run, log: Log, repeats: int, folder: Path) -> None:  # noqa: ARG001 - likewise
    """Open many streams, and send some of them an action."""
    run.source = "triggers made up on the spot"
    for repeat in range(1, repeats + 1):
        at = folder / str(repeat)
        with _kafka(at) as kafka, _edge(kafka, at) as (server, port):
            figures = asyncio.run(_streams(kafka, server, port))
        run.note(f"{STREAMS:,} streams", repeat, figures)


def _driven(server: Program, port: int, batch: int) -> dict[str, float]:
    """Return the cost per event as fast as it goes, and the latency at half of that rate."""
    asyncio.run(ask(port, _views(batch, "warm"), WARM_S))
    first = Reading.of({"server": server.pid})
    asked = asyncio.run(ask(port, _views(batch, "fast"), SECONDS))
    last = Reading.of({"server": server.pid})
    events = _taken(asked) * batch
    used_s = last.used_s["server"] - first.used_s["server"]
    rate = _taken(asked) / asked.seconds / 2
    calm = asyncio.run(ask(port, _views(batch, "calm"), SECONDS, rate))
    half = latencies(calm.took_ms)
    return {
        "events_per_s": events / asked.seconds,
        "server_us": used_s / events * 1e6,
        "events_per_s_per_core": events / used_s,
        "p50_ms_at_half": half["p50_ms"],
        "p99_ms_at_half": half["p99_ms"],
    }


def _taken(asked: Asked) -> int:
    if set(asked.statuses) != {HTTPStatus.OK}:
        raise RuntimeError(f"not all requests were taken: {dict(asked.statuses)}")
    return asked.statuses[HTTPStatus.OK]


def _outage(kafka: Kafka, port: int) -> dict[str, float]:
    """Freeze the broker for a while under load; return what was answered and what is stored."""
    accepted: set[str] = set()
    statuses: dict[str, int] = {}

    async def loaded() -> None:
        numbers = iter(range(1 << 30))
        until = time.monotonic() + 2 * OUTAGE_S

        async def shopper() -> None:
            while time.monotonic() < until:
                number = next(numbers)
                one = await ask_once(port, _views(1, "away")(number))
                statuses[str(one)] = statuses.get(str(one), 0) + 1
                if one == HTTPStatus.OK:
                    accepted.add(f"away-{number}-0")
                await asyncio.sleep(10 / OUTAGE_RATE)

        async def broker() -> None:
            await asyncio.sleep(OUTAGE_S / 2)
            kafka.pause()
            await asyncio.sleep(OUTAGE_S)
            kafka.resume()

        await asyncio.gather(broker(), *(shopper() for _ in range(10)))

    asyncio.run(loaded())
    stored = [json.loads(message.value)["id"] for message in kafka.read_all("page-views")]
    once = set(stored)
    return {
        "accepted": len(accepted),
        "lost": len(accepted - once),
        "stored_but_answered_503": len(once - accepted),
        "stored_twice": len(stored) - len(once),
        **{f"answered_{status}": count for status, count in sorted(statuses.items())},
    }


async def ask_once(port: int, request: bytes) -> int:
    """Return the status of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(head[9:12])


async def _streams(kafka: Kafka, server: Program, port: int) -> dict[str, float]:
    """Open streams, send some an action, and return what a stream takes and who heard what."""
    visitors = Visitors([SIGNING_KEY])
    names = [visitors.issue("shop") for _ in range(STREAMS)]
    opened: set[int] = set()
    heard: dict[int, float] = {}

    def hear(number: int, line: bytes) -> None:
        if line.startswith(b": open"):
            opened.add(number)
        elif line.startswith(b"data:"):
            heard.setdefault(number, time.monotonic())

    before = _resident_kib(server.pid)
    paths = [f"/v1/actions?visitor={signed}" for _, signed in names]
    task = asyncio.ensure_future(listen(port, paths, hear))
    await asyncio.to_thread(wait_until, lambda: len(opened) == STREAMS, "the streams", 120)
    await asyncio.sleep(2)
    per_stream = (_resident_kib(server.pid) - before) / STREAMS
    wanted = range(0, STREAMS, STREAMS // BLOCKS)
    sent = {}
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for number in wanted:
            key, value = _trigger(names[number][0])
            sent[number] = time.monotonic()
            await producer.send_and_wait("triggers", value, key)
            await asyncio.sleep(0.05)
    await asyncio.sleep(3)
    task.cancel()
    await asyncio.wait({task})
    took_ms = [(heard[number] - sent[number]) * 1000 for number in wanted if number in heard]
    told = latencies(took_ms)
    return {
        "kib_per_stream": per_stream,
        "actions": len(sent),
        "missed": len(sent.keys() - heard.keys()),
        "heard_by_others": len(heard.keys() - sent.keys()),
        "action_p50_ms": told["p50_ms"],
        "action_p99_ms": told["p99_ms"],
    }


def _views(batch: int, name: str) -> Callable[[int], bytes]:
    """Return what makes the request of a number: so many page views of as many visitors."""

    def make(number: int) -> bytes:
        at_ms = time.time_ns() // 1_000_000
        events = [
            {
                "type": "page_viewed",
                "id": f"{name}-{number}-{place}",
                "visitor": f"v{(number * batch + place) % 5_000}",
                "at_ms": at_ms,
                "url": "https://shop.example/tea/oolong",
                "context": {"locale": "de-DE", "user_agent": "Mozilla/5.0 (X11) Firefox/130.0"},
            }
            for place in range(batch)
        ]
        return post("/v1/events", json.dumps(events).encode(), LOGIN)

    return make


def _trigger(visitor: str) -> tuple[bytes, bytes]:
    now_ms = time.time_ns() // 1_000_000
    trigger = {
        "trigger_id": f"{int(visitor, 16):032x}",
        "kind": "exit_intent",
        "class": "onsite",
        "tenant": "shop",
        "visitor": visitor,
        "session": "0" * 32,
        "step": 0,
        "cart": {"fingerprint": "0" * 32, "value_minor": 1, "currency": "EUR", "lines": []},
        "evidence": [],
        "reason": "pointer_left_top",
        "due_at_ms": now_ms,
        "expires_at_ms": now_ms + 10_000,
        "consent": {"personalization": "granted"},
    }
    return visitor.encode(), json.dumps(trigger).encode()


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@contextmanager
def _kafka(folder: Path) -> Iterator[Kafka]:
    kafka = Kafka(folder / "kafka", java_options=())
    kafka.start()
    try:
        kafka.create_topics([*LANES, *OUTPUTS], PARTITIONS)
        kafka.create_topics([TRAINING], 1)
        yield kafka
    finally:
        kafka.stop()


@contextmanager
def _edge(kafka: Kafka, folder: Path) -> Iterator[tuple[Program, int]]:
    port = free_port()
    settings = {
        "CARTWAKE_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "CARTWAKE_EDGE__LISTEN": f"{LOOPBACK}:{port}",
        "CARTWAKE_EDGE__METRICS_PORT": "0",
        "CARTWAKE_EDGE__KEYS": json.dumps(KEYS),
        "CARTWAKE_EDGE__SIGNING_KEYS": json.dumps([SIGNING_KEY]),
        "CARTWAKE_EDGE__REQUESTS_PER_S_PER_KEY": "1000000",
        "CARTWAKE_EDGE__REQUESTS_PER_S_PER_ADDRESS": "1000000",
        "CARTWAKE_EDGE__RECORDS_PER_S_PER_KEY": "1000000",
        "CARTWAKE_EDGE__MAX_STREAMS_PER_ADDRESS": "1000000",
    }
    with _running([sys.executable, "-m", "stream", "edge"], folder, settings, port) as server:
        yield server, port


@contextmanager
def _bare(kafka: Kafka, folder: Path) -> Iterator[tuple[Program, int]]:
    port = free_port()
    settings = {"CARTWAKE_KAFKA__BOOTSTRAP": kafka.bootstrap}
    command = [sys.executable, "-m", "bench.bare_edge", str(port)]
    with _running(command, folder, settings, port) as server:
        yield server, port


@contextmanager
def _running(
    command: list[str], folder: Path, settings: dict[str, str], port: int
) -> Iterator[Program]:
    server = Program(command, folder / "server.log", cartwake_environment(settings))
    server.start()
    try:
        wait_until(lambda: _is_ready(port), "the server")
        yield server
    finally:
        server.stop()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
