"""The channel of one endpoint: what is posted, how it is signed, and when it is tried again.

As https://www.standardwebhooks.com has it: the same id each time, a signature by each secret, the
published schedule with jitter, ``Retry-After`` obeyed, and nothing more after 410.
"""

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp
import msgspec
from standardwebhooks import Webhook

from stream.adapters.wire.outgoing import rfc3339
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Accepted, Declined, Failed, Later
from stream.domain.campaign.reasons import Reason
from stream.domain.ids import make_id
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.topics import TOPICS, TRIGGER_CANCELS, TRIGGERS
from stream.domain.visitor import Visitor

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 20.0
MINUTE_S, HOUR_S = 60, 3_600
# After the first, second ... failure; the last of them is the last try.
RETRY_S: Final = (
    *(5, 5 * MINUTE_S, 30 * MINUTE_S),
    *(hours * HOUR_S for hours in (2, 5, 10, 14, 20, 24)),
)
JITTER: Final = 0.2
# A longer wait is not obeyed: by then the trigger has expired.
LONGEST_WAIT_S: Final = 24 * HOUR_S
NAMES: Final[dict[type, str]] = {Accepted: "sent", Failed: "failed", Declined: "refused"}


class WebhookMessage(NamedTuple):
    """A request: its id and its body."""

    id: str
    body: str


class WebhookChannel:
    """Implements ``stream.delivery.channel.Channel``.

    Parameters
    ----------
    count
        Hears the outcome of each attempt: sent, failed, refused or gone.
    """

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, count: Callable[[str], None]
    ) -> None:
        self._endpoint, self._session, self._count = endpoint, session, count
        self._hooks = [Webhook(secret) for secret in endpoint.secrets]
        self._is_gone = False

    async def prepare(
        self,
        trigger: Trigger,
        last_sent_ms: int | None,  # noqa: ARG002 - the port's
        now_ms: int,  # noqa: ARG002 - likewise
    ) -> WebhookMessage | Later | Reason:
        """Implements ``Channel.prepare``: caps and quiet hours are for the shop's own sender."""
        if self._is_gone:
            return Reason.GONE
        return WebhookMessage(trigger.trigger_id, _body(TRIGGERS, trigger.due_at_ms, trigger))

    async def last_look(
        self,
        message: WebhookMessage,
        trigger: Trigger,
        state: Visitor | None,
        now_ms: int,
    ) -> None:
        """Implements ``Channel.last_look``: the shop's own sender knows its people."""

    def recall(self, cancel: TriggerCancel) -> WebhookMessage | None:
        """Implements ``Channel.recall``."""
        if self._is_gone:
            return None
        # The trigger's own id would have the endpoint take it for a repetition.
        own_id = make_id(TRIGGER_CANCELS, cancel.trigger_id)
        return WebhookMessage(own_id, _body(TRIGGER_CANCELS, cancel.at_ms, cancel))

    async def send(
        self, message: WebhookMessage, attempts: int, now_ms: int
    ) -> Accepted | Declined | Failed:
        """Implements ``Channel.send``."""
        result = await self._result(message, attempts, now_ms)
        self._count("gone" if self._is_gone else NAMES[type(result)])
        return result

    async def _result(
        self, message: WebhookMessage, attempts: int, now_ms: int
    ) -> Accepted | Declined | Failed:
        try:
            async with self._session.post(
                self._endpoint.url,
                data=message.body,
                headers=self._headers(message, now_ms),
                allow_redirects=False,
            ) as answer:
                code, retry_after = answer.status, answer.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return self._again(attempts, now_ms, None)
        if code < HTTPStatus.MULTIPLE_CHOICES:
            return Accepted()
        if code == HTTPStatus.GONE:
            log.warning("webhook %s answers 410: nothing more goes there", self._endpoint.name)
            self._is_gone = True
            return Declined(code)
        return self._again(attempts, now_ms, code, _seconds(retry_after, now_ms))

    def _headers(self, message: WebhookMessage, now_ms: int) -> dict[str, str]:
        at = datetime.fromtimestamp(now_ms // 1000, UTC)
        signatures = (hook.sign(message.id, at, message.body) for hook in self._hooks)
        return {
            "Content-Type": "application/json",
            "User-Agent": "cartwake-webhooks",
            "webhook-id": message.id,
            "webhook-timestamp": str(now_ms // 1000),
            "webhook-signature": " ".join(signatures),
        }

    def _again(
        self, attempts: int, now_ms: int, code: int | None, least_s: float = 0
    ) -> Failed | Declined:
        if attempts >= len(RETRY_S):
            return Declined(code)
        # Not all that failed together are tried together again.
        wait_s = RETRY_S[attempts] * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret
        return Failed(now_ms + int(max(wait_s, least_s) * 1000), "failed")


def _body(topic: str, at_ms: int, record: Trigger | TriggerCancel) -> str:
    body = {
        "type": TOPICS[topic].ce_type,
        "timestamp": rfc3339(at_ms),
        "data": msgspec.to_builtins(record),
    }
    return msgspec.json.encode(body).decode()


def _seconds(retry_after: str | None, now_ms: int) -> float:
    """Return the seconds that ``Retry-After`` asks to wait; 0 if it is absent or unreadable."""
    if not retry_after:
        return 0
    try:
        if retry_after.isdecimal():
            wait_s = float(retry_after)
        else:
            wait_s = parsedate_to_datetime(retry_after).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return 0
    return min(max(0.0, wait_s), LONGEST_WAIT_S)
