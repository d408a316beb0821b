"""The administrator's client: for what metadata alone does not tell, or what is made.

The one rule: whoever asks has a right to ask; where that is missing the answer is a word, no error.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream.adapters.kafka.options import client_options
from stream.config.settings import Settings

ADMIN_MS: Final = 30_000
ASKED: Final = (
    "cleanup.policy",
    "max.message.bytes",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
)

Configs = dict[str, dict[str, str]]


@asynccontextmanager
async def administering(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Start an administrator's client and close it."""
    admin = AIOKafkaAdminClient(**client_options(settings.kafka), request_timeout_ms=ADMIN_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def topic_configs(settings: Settings, names: Iterable[str]) -> tuple[Configs, dict[str, str]]:
    """Return the settings of topics that are there, and of the others why they are not told."""
    kind = ConfigResourceType.TOPIC
    wanted = [ConfigResource(kind, name, dict.fromkeys(ASKED)) for name in names]
    if not wanted:
        return {}, {}
    async with administering(settings) as admin:
        answers = await admin.describe_configs(wanted)
    configs: Configs = {}
    silent: dict[str, str] = {}
    for code, why, _, name, entries in (one for answer in answers for one in answer.resources):
        if code:
            silent[name] = why or f"error {code}"
        else:
            configs[name] = {key: value for key, value, *_ in entries}
    return configs, silent
