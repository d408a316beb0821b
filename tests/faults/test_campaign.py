"""Rows of the fault campaign that every test run affords; ``make faults`` runs all of them."""

import pytest

from tests.faults.campaign import tried
from tests.faults.rows import ROWS
from tests.rig.kafka import Kafka
from tests.rig.redis import Redis

SECONDS = 6.0
AFFORDED = [(10, "records"), (19, "live")]


@pytest.mark.parametrize(("row", "clock"), AFFORDED)
def test_whatever_is_broken_nothing_is_lost_and_nothing_is_invented(
    kafka_server: Kafka, redis_server: Redis, row: int, clock: str
) -> None:
    # The fixtures say whether there can be servers here at all; a row starts its own.
    verdict = tried(ROWS[row], clock, seed=1, seconds=SECONDS)
    assert verdict.problems == {}
    assert verdict.inputs > 1000


def test_each_row_of_the_matrix_has_its_file() -> None:
    assert sorted(ROWS) == [*range(1, 28), 29]
