"""``cartwake doctor``: checks everything that Cartwake depends on, and says how to correct it.

A server that is down hides no finding about the other one, and costs seconds.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stream.adapters.kafka.options import quiet_clients
from stream.admin.clock import check_record_timestamps, check_redis_clock
from stream.admin.configuration import check_configuration
from stream.admin.finding import Finding, exit_code, summary
from stream.admin.kafka import check_kafka, shard_count
from stream.admin.kafka_survey import KafkaSurvey, survey_kafka
from stream.admin.redis import check_redis
from stream.admin.redis_survey import RedisSurvey, survey_redis
from stream.admin.unavailable import unavailable
from stream.admin.versions import check_versions, installed
from stream.admin.webhooks import check_endpoints, check_names
from stream.config.settings import Settings
from stream.errors import CartwakeError, UsageError

Say = Callable[[str], None]
Result = TypeVar("Result")


def run(settings: Settings, file: Path | None, environ: Mapping[str, str], say: Say = print) -> int:
    """Print a line for each finding; return 2 for wrong settings, 1 for other failures.

    The settings were loaded from ``file`` and ``environ``.
    """
    quiet_clients()
    findings = [
        *check_configuration(settings, file, environ),
        *check_endpoints(settings.webhooks),
    ]
    is_usable = not exit_code(findings)
    findings += check_versions(installed())
    for finding in findings:
        say(str(finding))
    in_kafka, in_redis, names = asyncio.run(_ask(settings))
    for finding in (*_servers(settings, in_kafka, in_redis), *names):
        say(str(finding))
        findings.append(finding)
    say(summary(findings))
    return exit_code(findings) if is_usable else UsageError.exit_code


async def _ask(
    settings: Settings,
) -> tuple[KafkaSurvey | CartwakeError, RedisSurvey | CartwakeError, list[Finding]]:
    """Ask all at the same time."""
    now_ms = time.time_ns() // 1_000_000
    return await asyncio.gather(
        _answer(survey_kafka(settings, now_ms)),
        _answer(survey_redis(settings)),
        check_names(settings.webhooks),
    )


async def _answer(question: Coroutine[Any, Any, Result]) -> Result | CartwakeError:
    try:
        return await question
    except CartwakeError as error:
        return error


def _servers(
    settings: Settings,
    in_kafka: KafkaSurvey | CartwakeError,
    in_redis: RedisSurvey | CartwakeError,
) -> Iterator[Finding]:
    shards = None
    if isinstance(in_kafka, CartwakeError):
        yield unavailable("Kafka", in_kafka)
    else:
        shards = shard_count(in_kafka)
        yield from check_kafka(in_kafka, settings)
    if isinstance(in_redis, CartwakeError):
        yield unavailable("Redis", in_redis)
    else:
        yield from check_redis(in_redis, shards)
        yield check_redis_clock(in_redis.ahead_ms, in_redis.took_ms)
    if not isinstance(in_kafka, CartwakeError):
        yield from check_record_timestamps(in_kafka.ahead)
