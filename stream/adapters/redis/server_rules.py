"""Requirements on a Redis server, and on the partition count of its state.

Nothing here calls Redis. A starting worker and ``doctor`` use the same messages.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Misfit(NamedTuple):
    """How a server fails a requirement, and what to do."""

    found: str
    do: str


def evicts(info: Mapping[str, Any]) -> Iterator[Misfit]:
    """Yield why a server with this ``INFO`` would lose states."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Misfit(
            f"has maxmemory-policy {policy}: it would throw states away when memory runs short",
            "set maxmemory-policy noeviction",
        )


def foreign(info: Mapping[str, Any], *, is_cluster: bool) -> Iterator[Misfit]:
    """Yield why a client of one server cannot use this server."""
    if info.get("cluster_enabled") and not is_cluster:
        yield Misfit(
            "is a node of a cluster: redis.url needs redis+cluster:// or rediss+cluster://",
            "name two of its nodes or more, with commas between",
        )


def torn(known: int | None, count: int, address: str) -> Iterator[Misfit]:
    """Yield why state of ``known`` shards, None for no state, does not fit ``count`` partitions."""
    if known not in {None, count}:
        yield Misfit(
            f"the input topics have {count} partitions, but Redis at {address} holds the state of"
            f" {known}",
            "partitions cannot be changed under a group: use another worker.group, which reads the"
            " log anew",
        )
