"""Everything at random, for as long as is asked."""

import time
from collections.abc import Callable

from tests.faults.arena import Arena
from tests.faults.row import Row
from tests.faults.soak import Samples
from tests.rig.processes import REPOSITORY

EVERY_S = 25.0
KEPT = REPOSITORY / ".cache" / "faults" / "soak.json"


def kill_worker(arena: Arena) -> None:
    """Kill one of the workers and start another."""
    arena.kill(arena.draw.choice(arena.running))
    arena.start_worker()


def freeze_worker(arena: Arena) -> None:
    """Freeze a worker for longer than its session."""
    worker = arena.draw.choice(arena.running)
    worker.pause()
    time.sleep(12)
    worker.resume()


def replace_worker(arena: Arena) -> None:
    """Stop one as an operator would, and start another."""
    arena.draw.choice(arena.running).stop()
    arena.start_worker()


def kill_redis(arena: Arena) -> None:
    """Kill Redis and start it again."""
    arena.redis.kill()
    arena.redis.start()


def freeze_redis(arena: Arena) -> None:
    """Let Redis be silent for some seconds."""
    arena.redis.pause()
    time.sleep(6)
    arena.redis.resume()


def cut_redis(arena: Arena) -> None:
    """Reset connections to Redis before answers arrive."""
    arena.redis.proxy.lose_answers(lambda: arena.draw.random() < 0.05)
    time.sleep(6)
    arena.redis.proxy.heal()


def lose_acks(arena: Arena) -> None:
    """Lose Kafka's answers to what is published."""
    arena.kafka.proxy.lose_answers(lambda: arena.draw.random() < 0.05, only_produced=True)
    time.sleep(6)
    arena.kafka.proxy.heal()


def cut_kafka(arena: Arena) -> None:
    """Reset all connections to Kafka."""
    arena.kafka.proxy.cut()


def restart_kafka(arena: Arena) -> None:
    """Kill the broker, for some seconds."""
    arena.kafka.kill()
    time.sleep(5)
    arena.kafka.start()


FAULTS: tuple[Callable[[Arena], None], ...] = (
    kill_worker,
    kill_worker,
    freeze_worker,
    replace_worker,
    kill_redis,
    freeze_redis,
    cut_redis,
    lose_acks,
    cut_kafka,
    restart_kafka,
)


def run(arena: Arena) -> None:
    """Break something every half minute, and keep what the workers needed meanwhile."""
    arena.start_workers(2)
    samples = Samples(arena)
    with samples.watching(), arena.shoppers(rate=20.0):
        while samples.now_s() < arena.seconds:
            inject = arena.draw.choice(FAULTS)
            samples.faults.append((samples.now_s(), inject.__name__))
            arena.fault()
            inject(arena)
            time.sleep(EVERY_S * arena.draw.uniform(0.6, 1.4))
    samples.write(KEPT)
    arena.figures["faults"] = len(samples.faults)
    first, *_, last = samples.longest()
    arena.figures["RSS MiB"] = f"{first['rss'] / 2**20:.0f} to {last['rss'] / 2**20:.0f}"
    arena.figures["open files"] = f"{first['fds']:.0f} to {last['fds']:.0f}"
    arena.settle()


ROW = Row(25, "soak, mixed faults", run, clocks=("live",), seconds=90)
