"""The findings about Redis, by table; no server is asked."""

import pytest

from stream.admin.finding import Severity
from stream.admin.redis import check_redis
from tests.admin import healthy


def findings(survey, shards=12):
    return list(check_redis(survey, shards))


def line(survey, shards=12):
    """Return the one line that is not ok."""
    [finding] = [one for one in findings(survey, shards) if one.severity is not Severity.OK]
    assert finding.remedy
    return str(finding)


def test_a_healthy_redis_is_ok_in_every_line():
    lines = [str(finding) for finding in findings(healthy.redis())]
    assert lines == [
        "ok    Redis: answers at redis:6379, version 7.2.4",
        "ok    eviction: maxmemory-policy noeviction",
        "ok    persistence: appendonly yes, and writing works",
        "ok    memory: 100 of 1,024 MiB used (10%)",
        "ok    state: 12 shards, as many as the inputs have partitions",
        "ok    rights in Redis: this user may run all commands of doctor and status",
    ]


@pytest.mark.parametrize(
    ("info", "mark", "words"),
    [
        ({"redis_version": "6.0.16"}, "FAIL", "is version 6.0.16 -> use Redis 6.2 or newer"),
        ({"redis_version": "5.0"}, "FAIL", "is version 5.0"),
        ({"role": "slave"}, "FAIL", "is a replica, which takes no writes -> name the primary"),
        ({"cluster_enabled": 1}, "FAIL", "redis.url needs redis+cluster://"),
        ({"maxmemory_policy": "allkeys-lru"}, "FAIL", "maxmemory-policy allkeys-lru"),
        ({"maxmemory_policy": "volatile-ttl"}, "FAIL", "set maxmemory-policy noeviction"),
        ({"aof_enabled": 0}, "FAIL", "appendonly is no"),
        ({"aof_last_write_status": "err"}, "FAIL", "could not write its append-only file the"),
        ({"aof_last_bgrewrite_status": "err"}, "FAIL", "its append-only file again"),
        ({"rdb_last_bgsave_status": "err"}, "FAIL", "could not write its snapshot"),
        ({"maxmemory": 0}, "warn", "100 MiB used, and no maxmemory -> set maxmemory"),
        ({"used_memory": int(0.8 * (1 << 30)) + 1}, "warn", "(80%) -> raise maxmemory"),
        ({"used_memory": int(0.95 * (1 << 30)) + 1}, "FAIL", "(95%) -> raise maxmemory"),
    ],
)
def test_the_info_of_a_server_is_checked(info, mark, words):
    text = line(healthy.redis_with(**info))
    assert text.startswith(f"{mark:<4}  ")
    assert words in text


@pytest.mark.parametrize("version", ["6.2.0", "7.0.1", "8.2.1", "10.0.0"])
def test_a_version_that_is_new_enough_is_accepted(version):
    assert findings(healthy.redis_with(redis_version=version))[0].severity is Severity.OK


def test_each_primary_of_a_cluster_is_named():
    bad = healthy.INFO | {"maxmemory_policy": "allkeys-lfu", "cluster_enabled": 1}
    good = healthy.INFO | {"cluster_enabled": 1}
    survey = healthy.redis(
        servers={"a:7000": good, "b:7000": bad}, is_cluster=True, cluster={"cluster_state": "ok"}
    )
    assert line(survey).startswith("FAIL  eviction at b:7000: has maxmemory-policy allkeys-lfu")


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"cluster_state": "fail"}, "state fail"),
        ({"cluster_state": "ok", "cluster_slots_pfail": "5461"}, "5461 slots without a server"),
        ({"cluster_state": "ok", "cluster_slots_fail": "7"}, "7 slots without a server"),
    ],
)
def test_a_cluster_in_trouble_fails(cluster, words):
    text = line(healthy.redis(is_cluster=True, cluster=cluster))
    assert text.startswith("FAIL  cluster: ")
    assert words in text


def test_partitions_that_were_changed_under_the_group_fail():
    text = line(healthy.redis(partitions=12), shards=6)
    assert text.startswith("FAIL  state: the input topics have 6 partitions, but Redis at redis")
    assert "holds the state of 12" in text
    assert "use another worker.group" in text


@pytest.mark.parametrize(
    ("partitions", "shards", "words"),
    [
        (None, 12, "none yet: no worker of this group has run"),
        (12, None, "12 shards, the inputs' are unknown"),
    ],
)
def test_what_is_not_known_is_no_failure(partitions, shards, words):
    finding = findings(healthy.redis(partitions=partitions), shards)[4]
    assert (finding.severity, finding.observed) == (Severity.OK, words)


def test_a_right_that_only_looking_needs_is_a_warning():
    text = line(healthy.redis(refused=("zcount",)))
    assert text.startswith("warn  rights in Redis: this user may not zcount -> ")


def test_a_user_without_the_right_to_read_the_partition_count_is_worth_a_warning():
    found = [str(one) for one in findings(healthy.redis(partitions=None, refused=("get",)))]
    assert (
        "warn  state: this user may not read how many shards it has -> give this user +get" in found
    )
