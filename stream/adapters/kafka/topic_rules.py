"""Requirements on topics: partitions, retention, sizes.

Nothing here calls Kafka. ``topics check``, a starting worker and ``doctor`` use the same functions.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from stream.domain.policy import DAY_MS
from stream.domain.topics import DEAD_LETTERS, LANES, TOPICS, read_by, written_by

MIB: Final = 2**20
# What is published: a dead letter may be as large as Kafka takes by default, and has headers. All
# other topics out take as much, because a refusal by the broker leaves an idempotent producer of
# aiokafka unable to go on: its own limit has to be the lowest.
LARGEST_BYTES: Final = 2 * MIB
HEADERS_BYTES: Final = 16 * 1024

# What programs that act on triggers read or ask about, partition by partition beside the lanes.
ACTED_ON: Final = tuple(dict.fromkeys((*LANES, *read_by("emailer", "webhooks"))))
# Topics in which records of any size may arrive; what Cartwake writes itself is bounded already.
FROM_OUTSIDE: Final = written_by("storefront")


def missing(counts: Mapping[str, int], wanted: Iterable[str] = TOPICS) -> Iterable[str]:
    """Yield what to do where wanted topics are not there."""
    if absent := [name for name in wanted if name not in counts]:
        yield f"no topic {', '.join(absent)}: make them with 'cartwake topics create'"


def uneven(counts: Mapping[str, int], what: str = "the inputs") -> Iterable[str]:
    """Yield which topics cannot be read side by side."""
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield f"{what} need equally many partitions, but have: {told}"


def too_small(configs: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    """Yield why a bad record may find no place among the dead letters."""
    limits = {name: int(config["max.message.bytes"]) for name, config in configs.items()}
    needed = (
        max([limits[name] for name in FROM_OUTSIDE if name in limits], default=0) + HEADERS_BYTES
    )
    if limits.get(DEAD_LETTERS, needed) < needed:
        yield (
            f"{DEAD_LETTERS} takes records up to {limits[DEAD_LETTERS]} bytes (max.message.bytes), "
            f"but an input's largest needs {needed} with its headers"
        )


def retention_ms(config: Mapping[str, str]) -> int | None:
    """Return after how long records are deleted; None: never."""
    kept_ms = int(config["retention.ms"])
    return kept_ms if kept_ms >= 0 and "delete" in config["cleanup.policy"] else None


def kept(config: Mapping[str, str]) -> str:
    """Return for people how long records are kept."""
    kept_ms = retention_ms(config)
    if kept_ms is None:  # right for a backfill, so not refused
        return "kept for ever (personal data should not be: set retention.ms)"
    return f"kept {kept_ms / DAY_MS:g} days"


def largest(config: Mapping[str, str]) -> str:
    """Return for people how large a record may be."""
    return f"records up to {int(config['max.message.bytes']) / MIB:.2g} MiB"


def partitions(count: int) -> str:
    """Return a count for people."""
    return f"{count} partition{'' if count == 1 else 's'}"
