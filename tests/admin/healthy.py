"""What a look at servers finds where all is well; tests change one thing of it."""

from typing import Any

from msgspec import structs

from stream.adapters.kafka.describe import OPERATIONS, Group, TopicMetadata
from stream.adapters.kafka.topic_rules import FROM_OUTSIDE, LARGEST_BYTES
from stream.admin.kafka_survey import KafkaSurvey
from stream.admin.redis_survey import RedisSurvey
from stream.domain.topics import TOPICS, TRAINING_EXAMPLES

DAY_MS = 86_400_000
ALL = frozenset(OPERATIONS)
COUNTS = dict.fromkeys(TOPICS, 12) | {TRAINING_EXAMPLES: 1}
INFO = {
    "redis_version": "7.2.4",
    "role": "master",
    "cluster_enabled": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "used_memory": 100 << 20,
    "maxmemory": 1 << 30,
}


def config(name: str) -> dict[str, str]:
    """Return the settings that ``topics create`` gives a topic."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(TOPICS[name].retention_days * DAY_MS),
        "retention.bytes": "-1",
        "min.insync.replicas": "2",
        "max.message.bytes": "1048588" if name in FROM_OUTSIDE else str(LARGEST_BYTES),
    }


def kafka(**changed: Any) -> KafkaSurvey:
    """Return what is found in three brokers with everything in order."""
    survey = KafkaSurvey(
        brokers=3,
        fetches=18,
        counts=dict(COUNTS),
        leaderless=dict.fromkeys(COUNTS, 0),
        configs={name: config(name) for name in COUNTS},
        unreadable={},
        topics=dict.fromkeys(COUNTS, TopicMetadata(3, 3, ALL, "4f1c")),
        group=Group("Stable", (), ALL),
        ahead=frozenset(),
    )
    return structs.replace(survey, **changed)


def kafka_with(name: str, **settings: str) -> KafkaSurvey:
    """Return the same with other settings of one topic; an underscore stands for a dot."""
    survey = kafka()
    survey.configs[name].update({key.replace("_", "."): value for key, value in settings.items()})
    return survey


def redis(**changed: Any) -> RedisSurvey:
    """Return what is found in one server with everything in order."""
    survey = RedisSurvey(
        address="redis:6379",
        servers={"redis:6379": dict(INFO)},
        is_cluster=False,
        cluster=None,
        partitions=12,
        refused=(),
        ahead_ms=0,
        took_ms=1,
    )
    return structs.replace(survey, **changed)


def redis_with(**info: Any) -> RedisSurvey:
    """Return the same where the server says something else of itself."""
    return redis(servers={"redis:6379": INFO | info})
