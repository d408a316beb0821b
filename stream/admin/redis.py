"""What is to be said of Redis: servers, what they would lose, room, and whose state it is.

The one rule: it judges what was found and asks nothing. What a worker refuses fails here.
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
# What stays "ok" while writing works.
WRITES: Final = {
    "aof_last_write_status": "its append-only file",
    "rdb_last_bgsave_status": "its snapshot",
    "aof_last_bgrewrite_status": "its append-only file anew",
}

Info = Mapping[str, Any]


def judge(survey: RedisSurvey, shards: int | None) -> Iterator[Finding]:
    """Yield what is to be said; ``shards`` is how many the inputs have, None where unknown."""
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


def _server(what: str, address: str, info: Info, *, is_cluster: bool) -> Finding:
    version = str(info.get("redis_version", "unknown"))
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        return fail(what, f"is of version {version}", "use Redis 6.2 or newer")
    if info.get("role") == "slave":
        return fail(what, f"{address} is a replica, which takes no writes", "name the primary")
    for found, do in foreign(info, is_cluster=is_cluster):
        return fail(what, found, do)
    return ok(what, f"answers at {address}, version {version}")


def _eviction(what: str, info: Info) -> Finding:
    for found, do in evicts(info):
        return fail(what, found, do)
    return ok(what, "maxmemory-policy noeviction")


def _persistence(what: str, info: Info) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        found = "appendonly is no: a restart forgets carts, consent and what has been sent"
        yield fail(what, found, "set appendonly yes, appendfsync everysec (deploy/redis.conf)")
    failing = [words for name, words in WRITES.items() if info.get(name, "ok") != "ok"]
    for words in failing:
        found = f"could not write {words} the last time"
        yield fail(what, found, "look at Redis's log, and at the room on its disk")
    if info.get("aof_enabled") and not failing:
        yield ok(what, "appendonly yes, and writing works")


def _memory(what: str, info: Info) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        found = f"{used / MIB:,.0f} MiB used, and no maxmemory"
        return warn(what, found, "set maxmemory, or the system ends Redis when memory is short")
    share = used / most
    found = f"{used / MIB:,.0f} of {most / MIB:,.0f} MiB used ({share:.0%})"
    do = "raise maxmemory, or take a larger machine: full, it refuses every write"
    if share >= FILLING:
        return (fail if share >= FULL else warn)(what, found, do)
    return ok(what, found)


def _cluster(told: Mapping[str, str]) -> Finding:
    state, bad = told.get("cluster_state", "unknown"), _failing(told)
    found = f"state {state}, {told.get('cluster_size', '?')} primaries with slots"
    if state != "ok" or bad:
        do = "bring the nodes that are away back (CLUSTER NODES names them)"
        return fail("cluster", f"{found}, {bad} slots nobody serves", do)
    return ok("cluster", found)


def _failing(told: Mapping[str, str]) -> int:
    return sum(int(told.get(f"cluster_slots_{name}", 0)) for name in ("fail", "pfail"))


def _partitions(survey: RedisSurvey, shards: int | None) -> Finding:
    what, known = "state", survey.partitions
    if "get" in survey.refused:
        return warn(what, "of how many shards it is, is not told to this user", "let it +get")
    if known is None:
        return ok(what, "none yet: no worker of this group has run")
    if shards is not None:
        for found, do in torn(known, shards, survey.address):
            return fail(what, found, do)
    told = "as many as the inputs have partitions" if shards else "the inputs do not tell theirs"
    return ok(what, f"of {known} shards, {told}")


def _rights(refused: tuple[str, ...]) -> Finding:
    if refused:
        do = "come as cartwake-operator of deploy/redis-users.acl; a worker needs less"
        return warn("rights in Redis", f"this user may not {', '.join(refused)}", do)
    return ok("rights in Redis", "this user may ask what doctor and status ask")
