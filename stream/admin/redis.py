"""Checks Redis: servers, eviction, persistence, memory, the group's state, and rights.

It reads only the survey. What a worker refuses is a failure here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stream.adapters.redis.server_rules import evicts, foreign, torn
from stream.admin.finding import Finding, fail, ok, warn
from stream.admin.redis_survey import RedisSurvey

OLDEST: Final = (6, 2)
FULL: Final = 0.95
FILLING: Final = 0.8
MIB: Final = 2**20
# Fields of INFO that are "ok" while writing works.
WRITES: Final = {
    "aof_last_write_status": "its append-only file",
    "rdb_last_bgsave_status": "its snapshot",
    "aof_last_bgrewrite_status": "its append-only file again",
}

Info = Mapping[str, Any]


def check_redis(survey: RedisSurvey, shards: int | None) -> Iterator[Finding]:
    """Yield the findings; ``shards`` is how many the inputs have, None if unknown."""
    for address, info in survey.servers.items():
        where = f" at {address}" if len(survey.servers) > 1 else ""
        yield _server(f"Redis{where}", address, info, is_cluster=survey.is_cluster)
        yield _eviction(f"eviction{where}", info)
        yield from _persistence(f"persistence{where}", info)
        yield _memory(f"memory{where}", info)
    if survey.cluster is not None:
        yield _cluster(survey.cluster)
    yield _partitions(survey, shards)
    yield _rights(survey.refused)


def _server(subject: str, address: str, info: Info, *, is_cluster: bool) -> Finding:
    version = str(info.get("redis_version", "unknown"))
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        return fail(subject, f"is version {version}", "use Redis 6.2 or newer")
    if info.get("role") == "slave":
        return fail(subject, f"{address} is a replica, which takes no writes", "name the primary")
    for observed, remedy in foreign(info, is_cluster=is_cluster):
        return fail(subject, observed, remedy)
    return ok(subject, f"answers at {address}, version {version}")


def _eviction(subject: str, info: Info) -> Finding:
    for observed, remedy in evicts(info):
        return fail(subject, observed, remedy)
    return ok(subject, "maxmemory-policy noeviction")


def _persistence(subject: str, info: Info) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        observed = "appendonly is no: a restart loses carts, consent and what was sent"
        yield fail(
            subject, observed, "set appendonly yes, appendfsync everysec (deploy/redis.conf)"
        )
    failing = [words for name, words in WRITES.items() if info.get(name, "ok") != "ok"]
    for words in failing:
        observed = f"could not write {words} the last time"
        yield fail(subject, observed, "check Redis's log and the space on its disk")
    if info.get("aof_enabled") and not failing:
        yield ok(subject, "appendonly yes, and writing works")


def _memory(subject: str, info: Info) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        observed = f"{used / MIB:,.0f} MiB used, and no maxmemory"
        return warn(
            subject, observed, "set maxmemory, or the kernel may kill Redis when memory is short"
        )
    share = used / most
    observed = f"{used / MIB:,.0f} of {most / MIB:,.0f} MiB used ({share:.0%})"
    remedy = "raise maxmemory, or use a larger machine: a full Redis refuses every write"
    if share >= FILLING:
        return (fail if share >= FULL else warn)(subject, observed, remedy)
    return ok(subject, observed)


def _cluster(state: Mapping[str, str]) -> Finding:
    word, bad = state.get("cluster_state", "unknown"), _failing(state)
    observed = f"state {word}, {state.get('cluster_size', '?')} primaries with slots"
    if word != "ok" or bad:
        remedy = "restart the nodes that are down (CLUSTER NODES lists them)"
        return fail("cluster", f"{observed}, {bad} slots without a server", remedy)
    return ok("cluster", observed)


def _failing(state: Mapping[str, str]) -> int:
    return sum(int(state.get(f"cluster_slots_{name}", 0)) for name in ("fail", "pfail"))


def _partitions(survey: RedisSurvey, shards: int | None) -> Finding:
    subject, known = "state", survey.partitions
    if "get" in survey.refused:
        return warn(subject, "this user may not read how many shards it has", "give this user +get")
    if known is None:
        return ok(subject, "none yet: no worker of this group has run")
    if shards is not None:
        for observed, remedy in torn(known, shards, survey.address):
            return fail(subject, observed, remedy)
    compared = "as many as the inputs have partitions" if shards else "the inputs' are unknown"
    return ok(subject, f"{known} shards, {compared}")


def _rights(refused: tuple[str, ...]) -> Finding:
    if refused:
        remedy = "run doctor as cartwake-operator of deploy/redis-users.acl; a worker needs less"
        return warn("rights in Redis", f"this user may not {', '.join(refused)}", remedy)
    return ok("rights in Redis", "this user may run all commands of doctor and status")
