"""``cartwake emailer``: what it is made of.

What would fail with the first mail fails at the start: settings, templates, links, the directory.
"""

import asyncio
from collections.abc import Callable
from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from stream.adapters.kafka.probe import serves
from stream.adapters.redis.connection import connected
from stream.adapters.redis.reader import RedisStates
from stream.config.settings import EmailerSettings, Settings
from stream.delivery.dispatcher import UNIT as DELIVERY
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.fresh_state import FreshState
from stream.delivery.links import Links
from stream.delivery.outcome_writer import OutcomeWriter
from stream.delivery.process import deliver
from stream.delivery.templates import templates_of
from stream.delivery.trigger_reader import READ, Subscription, TriggerReader
from stream.delivery.trigger_reader import UNIT as RECORD
from stream.domain.feedback import EMAIL
from stream.domain.records import Trigger
from stream.emailer.compose import Composer, shop_of
from stream.emailer.directory import Directory, directory_of
from stream.emailer.mail import Mail
from stream.emailer.metrics import EmailerMetrics
from stream.emailer.pace import Pace
from stream.emailer.people import People
from stream.emailer.quiet import QuietHours
from stream.emailer.samples import samples
from stream.emailer.smtp import Mailer
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import UsageError
from stream.runtime.bulkhead import Bulkhead, DefectCounter
from stream.runtime.health import Where
from stream.runtime.process import ProgramInfo, process
from stream.runtime.worker_clock import system_ms

EXAMPLES: Final = {
    "sender": '"Tea Shop <hello@shop.example>"',
    "public_url": '"https://events.shop.example", where browsers reach cartwake edge',
    "cart_url": '"https://shop.example/cart", where a mail\'s button leads in the end',
    "directory": '"customers.csv", or the URL of a database or of an HTTP endpoint',
}


def run(settings: Settings) -> int:
    """Send mails until told to stop, and return the exit code.

    Raises
    ------
    UsageError
        A setting that has no default is empty, the directory is not there, or a template cannot
        be used.
    CartwakeError
        Topics are missing, or the metrics' address cannot be listened on.
    """
    with process("sending mails"):
        check(settings)
        composer = composer_of(settings)
        for sample in samples():
            composer.content(*sample)
        directory = directory_of(
            settings.emailer.directory,
            settings.emailer.directory_query,
            settings.emailer.directory_token,
        )
        asyncio.run(_serve(settings, composer, directory))
    return 0


def composer_of(settings: Settings) -> Composer:
    """Return what makes the mails of these settings.

    Raises
    ------
    UsageError
        There is no key to sign links with, or the templates' folder is not one.
    """
    emailer = settings.emailer
    if not settings.edge.signing_keys:
        raise UsageError("edge.signing_keys is empty: links are signed with what the edge knows")
    links, templates = Links(settings.edge.signing_keys), templates_of(emailer)
    return Composer(emailer.sender, emailer.public_url, links, templates, shop_of(emailer))


def check(settings: Settings) -> None:
    """Refuse settings without a value that has no default.

    Raises
    ------
    UsageError
        It names the setting, with an example.
    """
    for name, example in EXAMPLES.items():
        if not getattr(settings.emailer, name):
            raise UsageError(f"emailer.{name} is empty: set it, {name} = {example}")


async def _serve(settings: Settings, composer: Composer, directory: Directory) -> None:
    emailer, registry = settings.emailer, CollectorRegistry()
    metrics, defects = EmailerMetrics(registry), DefectCounter(registry, "emailer")
    redis, outcomes = connected(settings.redis), OutcomeWriter(settings.kafka)
    people = People(redis, *_memory(settings), emailer.cap_s * 1000)
    mailer = Mailer(emailer, metrics.smtp_up.set)
    reader = TriggerReader(
        settings,
        Subscription(emailer.group, EMAIL, _wanted(emailer.tenant), people),
        system_ms,
        Bulkhead(RECORD, defects, waits_s=()),
    )
    dispatcher = Dispatcher(
        name=EMAIL,
        channel=_mail(emailer, directory, composer, mailer, people),
        reader=reader,
        fresh_state=FreshState(reader, RedisStates(redis, settings.worker.group, VISITOR_CODEC)),
        outcomes=outcomes,
        metrics=metrics,
        now_ms=system_ms,
        bulkhead=Bulkhead(DELIVERY, defects),
    )
    try:
        program = _program(settings, registry, redis.address)
        await deliver([dispatcher], outcomes, emailer.at_once, program)
    finally:
        await mailer.close()
        await directory.close()
        await redis.close()


def _program(settings: Settings, registry: CollectorRegistry, redis: str) -> ProgramInfo:
    emailer = settings.emailer
    return ProgramInfo(
        "emailer",
        (
            f"group {emailer.group}",
            f"tenant {emailer.tenant}",
            f"Kafka at {settings.kafka.bootstrap}",
            f"Redis at {redis}",
            f"topics {' '.join((*READ, *People.topics))}",
        ),
        Where("emailer.metrics", emailer.metrics_host, emailer.metrics_port),
        registry,
        lambda: serves(settings, (*READ, *People.topics), emailer.group),
    )


def _memory(settings: Settings) -> tuple[str, str]:
    """Return where Redis has what counts for persons, and the key of their hashes."""
    key = settings.emailer.address_key or settings.edge.signing_keys[-1]
    return f"{settings.worker.group}:{settings.emailer.group}", key


def _mail(
    emailer: EmailerSettings,
    directory: Directory,
    composer: Composer,
    mailer: Mailer,
    people: People,
) -> Mail:
    return Mail(
        directory,
        composer,
        mailer,
        people,
        pace=Pace(emailer.per_domain_per_s),
        quiet=QuietHours(
            time.fromisoformat(emailer.quiet_from), time.fromisoformat(emailer.quiet_until)
        ),
        zone=ZoneInfo(emailer.timezone),
        cap_ms=emailer.cap_s * 1000,
    )


def _wanted(tenant: str) -> Callable[[Trigger], bool]:
    return lambda trigger: trigger.tenant == tenant and trigger.class_ != "onsite"
