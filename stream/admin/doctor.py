"""``cartwake doctor``: looks at all that Cartwake stands on, and says what to do about it.

The one rule: one server that is away hides nothing of the other, and costs seconds.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stream.adapters.kafka.options import quiet_clients
from stream.admin import clock, configuration, kafka, redis, refused, versions, webhooks
from stream.admin.finding import Finding, exit_code, summary
from stream.admin.kafka_survey import KafkaSurvey, survey_kafka
from stream.admin.redis_survey import RedisSurvey, survey_redis
from stream.config.settings import Settings
from stream.errors import CartwakeError, UsageError

Say = Callable[[str], None]
Found = TypeVar("Found")


def run(settings: Settings, file: Path | None, environ: Mapping[str, str], say: Say = print) -> int:
    """Say what is found, a line for each; return 2 for wrong settings, 1 for other failures.

    ``file`` and ``environ`` are what the settings were loaded from.
    """
    quiet_clients()
    told = [
        *configuration.judge(settings, file, environ),
        *webhooks.judge(settings.webhooks),
    ]
    is_usable = not exit_code(told)
    told += versions.judge(versions.look())
    for finding in told:
        say(str(finding))
    in_kafka, in_redis, names = asyncio.run(_ask(settings))
    for finding in (*_servers(settings, in_kafka, in_redis), *names):
        say(str(finding))
        told.append(finding)
    say(summary(told))
    return exit_code(told) if is_usable else UsageError.exit_code


async def _ask(
    settings: Settings,
) -> tuple[KafkaSurvey | CartwakeError, RedisSurvey | CartwakeError, list[Finding]]:
    """Ask all side by side, so that the slowest is all that is waited for."""
    now_ms = time.time_ns() // 1_000_000
    return await asyncio.gather(
        _answer(survey_kafka(settings, now_ms)),
        _answer(survey_redis(settings)),
        webhooks.look(settings.webhooks),
    )


async def _answer(question: Coroutine[Any, Any, Found]) -> Found | CartwakeError:
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
        yield refused.judge("Kafka", in_kafka)
    else:
        shards = kafka.shards(in_kafka)
        yield from kafka.judge(in_kafka, settings)
    if isinstance(in_redis, CartwakeError):
        yield refused.judge("Redis", in_redis)
    else:
        yield from redis.judge(in_redis, shards)
        yield clock.judge_redis(in_redis.ahead_ms, in_redis.took_ms)
    if not isinstance(in_kafka, CartwakeError):
        yield from clock.judge_records(in_kafka.ahead)
