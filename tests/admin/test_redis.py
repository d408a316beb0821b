"""What is said of Redis, by table; no server is asked."""

import pytest

from stream.admin import redis
from stream.admin.finding import Mark
from tests.admin import healthy


def told(survey, shards=12):
    return list(redis.judge(survey, shards))


def line(survey, shards=12):
    """Return the one line that is not ok."""
    [finding] = [one for one in told(survey, shards) if one.mark is not Mark.OK]
    assert finding.do
    return str(finding)


def test_a_healthy_redis_is_ok_in_every_line():
    lines = [str(finding) for finding in told(healthy.redis())]
    assert lines == [
        "ok    Redis: answers at redis:6379, version 7.2.4",
        "ok    eviction: maxmemory-policy noeviction",
        "ok    persistence: appendonly yes, and writing works",
        "ok    memory: 100 of 1,024 MiB used (10%)",
        "ok    state: of 12 shards, as many as the inputs have partitions",
        "ok    rights in Redis: this user may ask what doctor and status ask",
    ]


@pytest.mark.parametrize(
    ("info", "mark", "words"),
    [
        ({"redis_version": "6.0.16"}, "FAIL", "is of version 6.0.16 -> use Redis 6.2 or newer"),
        ({"redis_version": "5.0"}, "FAIL", "is of version 5.0"),
        ({"role": "slave"}, "FAIL", "is a replica, which takes no writes -> name the primary"),
        ({"cluster_enabled": 1}, "FAIL", "redis.url needs redis+cluster://"),
        ({"maxmemory_policy": "allkeys-lru"}, "FAIL", "maxmemory-policy allkeys-lru"),
        ({"maxmemory_policy": "volatile-ttl"}, "FAIL", "set maxmemory-policy noeviction"),
        ({"aof_enabled": 0}, "FAIL", "appendonly is no"),
        ({"aof_last_write_status": "err"}, "FAIL", "could not write its append-only file the"),
        ({"aof_last_bgrewrite_status": "err"}, "FAIL", "its append-only file anew"),
        ({"rdb_last_bgsave_status": "err"}, "FAIL", "could not write its snapshot"),
        ({"maxmemory": 0}, "warn", "100 MiB used, and no maxmemory -> set maxmemory"),
        ({"used_memory": int(0.8 * (1 << 30)) + 1}, "warn", "(80%) -> raise maxmemory"),
        ({"used_memory": int(0.95 * (1 << 30)) + 1}, "FAIL", "(95%) -> raise maxmemory"),
    ],
)
def test_what_a_server_says_of_itself_is_judged(info, mark, words):
    text = line(healthy.redis_with(**info))
    assert text.startswith(f"{mark:<4}  ")
    assert words in text


@pytest.mark.parametrize("version", ["6.2.0", "7.0.1", "8.2.1", "10.0.0"])
def test_a_version_that_is_new_enough_is_accepted(version):
    assert told(healthy.redis_with(redis_version=version))[0].mark is Mark.OK


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
        ({"cluster_state": "ok", "cluster_slots_pfail": "5461"}, "5461 slots nobody serves"),
        ({"cluster_state": "ok", "cluster_slots_fail": "7"}, "7 slots nobody serves"),
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
        (12, None, "of 12 shards, the inputs do not tell theirs"),
    ],
)
def test_what_is_not_known_is_no_failure(partitions, shards, words):
    finding = told(healthy.redis(partitions=partitions), shards)[4]
    assert (finding.mark, finding.found) == (Mark.OK, words)


def test_a_right_that_only_looking_needs_is_a_warning():
    text = line(healthy.redis(refused=("zcount",)))
    assert text.startswith("warn  rights in Redis: this user may not zcount -> ")


def test_a_user_who_may_not_ask_of_how_many_shards_the_state_is_is_told():
    found = [str(one) for one in told(healthy.redis(partitions=None, refused=("get",)))]
    assert "warn  state: of how many shards it is, is not told to this user -> let it +get" in found
