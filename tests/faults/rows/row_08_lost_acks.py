"""Kafka stores what is published, and its answer is lost: it is sent again."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

SHARE = 0.05


def run(arena: Arena) -> None:
    """Lose some answers to produce requests, with the connection."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        lose = lambda: arena.draw.random() < SHARE  # noqa: E731 - drawn by the arena's seed
        arena.kafka.proxy.lose_answers(lose, only_produced=True)
        time.sleep(arena.seconds)
        arena.kafka.proxy.heal()
    arena.figures["answers lost"] = arena.kafka.proxy.lost
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """Some were lost."""
    return [] if arena.kafka.proxy.lost else ["no answer was lost: nothing was tried"]


ROW = Row(8, "produce ack lost", run, also)
