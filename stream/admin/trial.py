"""One message that is marked as a test: ``cartwake webhooks --test``, ``cartwake emailer --test``.

It takes the real path, from the signature to the endpoint and from the directory to the mail
server, without a trigger in Kafka: nothing is read there, written there or counted.
"""

import asyncio
from difflib import get_close_matches
from typing import Final

from msgspec.structs import replace

from stream.config.settings import Settings
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Accepted, Declined
from stream.domain.ids import make_id
from stream.domain.kinds import REGISTRY
from stream.domain.policy import DAY_MS
from stream.domain.records import Trigger
from stream.domain.visitor import VisitorKey
from stream.emailer.directory import Unavailable, directory_of
from stream.emailer.samples import sample_trigger
from stream.emailer.serve import check, composer_of
from stream.emailer.smtp import Delayed, Mailer
from stream.errors import CartwakeError, UsageError
from stream.runtime.worker_clock import system_ms
from stream.webhooks.egress import is_allowed, session
from stream.webhooks.endpoint import WebhookChannel, WebhookMessage

MARK: Final = "test"
VISITOR: Final = "cartwake-test"


def webhook(settings: Settings, name: str) -> str:
    """Post one test trigger to an endpoint; return what it answered, in a sentence.

    Raises
    ------
    UsageError
        There is no endpoint of this name, or it may not be posted to.
    CartwakeError
        The endpoint did not take it.
    """
    return asyncio.run(_post(settings, _endpoint(settings, name)))


def mail(settings: Settings, visitor: str) -> str:
    """Send one test mail to a visitor's address; return what became of it, in a sentence.

    Consent, caps and quiet hours are not asked: name a visitor whose address is your own.

    Raises
    ------
    UsageError
        A setting that the e-mailer needs is empty.
    CartwakeError
        The visitor has no address, or directory or mail server do not take part.
    """
    check(settings)
    return asyncio.run(_mail(settings, visitor))


def _trigger(tenant: str, visitor: str, kinds: tuple[str, ...], now_ms: int) -> Trigger:
    """Return a made-up trigger of the first of these kinds; of any, if there are none."""
    kind = next(one for one in REGISTRY.all if not kinds or one.name in kinds)
    return replace(
        sample_trigger(kind, kind.samples[0]),
        trigger_id=make_id(MARK, tenant, visitor, str(now_ms)),
        tenant=tenant,
        visitor=visitor,
        reason=MARK,
        due_at_ms=now_ms,
        expires_at_ms=now_ms + DAY_MS,
    )


def _endpoint(settings: Settings, name: str) -> Endpoint:
    known = {one.name: one for one in settings.webhooks.endpoints}
    if name not in known:
        near = get_close_matches(name, known, 1, 0.5)
        hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(known) or 'none'}"
        raise UsageError(f"webhooks.endpoints has no {name!r}; {hint}")
    if not settings.webhooks.allow_private and not is_allowed(known[name].url):
        raise UsageError(f"webhooks.endpoints: {name} is not https:// to a public address")
    return known[name]


async def _post(settings: Settings, endpoint: Endpoint) -> str:
    now_ms = system_ms()
    trigger = _trigger(endpoint.tenant, VISITOR, endpoint.kinds, now_ms)
    async with session(allow_private=settings.webhooks.allow_private) as requests:
        channel = WebhookChannel(endpoint, requests, lambda _: None)
        message = await channel.prepare(trigger, None, now_ms)
        if not isinstance(message, WebhookMessage):
            raise CartwakeError(f"{endpoint.name} gets no such trigger")
        answer = await channel.send(message, 0, now_ms)
    match answer:
        case Accepted():
            return f"{endpoint.name} has taken the test trigger {trigger.trigger_id}"
        case Declined(code=code):
            raise CartwakeError(f"{endpoint.name} has refused the test trigger: {code}")
        case _:
            why = "no answer below 300: look at its log, its url and its secret"
            raise CartwakeError(f"{endpoint.name} has not taken the test trigger: {why}")


async def _mail(settings: Settings, visitor: str) -> str:
    emailer, now_ms = settings.emailer, system_ms()
    directory = directory_of(emailer.directory, emailer.directory_query, emailer.directory_token)
    mailer = Mailer(emailer, lambda _: None)
    try:
        recipient = await directory.find(VisitorKey(emailer.tenant, visitor))
        if recipient is None:
            raise CartwakeError("the customer directory has no address of this visitor")
        trigger = _trigger(emailer.tenant, visitor, ("cart_abandonment",), now_ms)
        message = composer_of(settings).compose(trigger, recipient, now_ms)
        subject = message["Subject"]
        del message["Subject"]
        message["Subject"] = f"[Test] {subject}"
        answer = await mailer.send(message)
    except Unavailable as why:
        raise CartwakeError(f"the customer directory is unavailable: {why}") from why
    finally:
        await mailer.close()
        await directory.close()
    match answer:
        case Accepted():
            return "the mail server has taken the test mail"
        case Declined(code=code) | Delayed(code=code):
            raise CartwakeError(f"the mail server has not taken the test mail: {code}")
        case _:
            raise CartwakeError("the mail server is unavailable: see emailer.smtp_url")
