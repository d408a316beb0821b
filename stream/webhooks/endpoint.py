"""The channel of one endpoint: what is posted, how it is signed, and when it is tried again.

The one rule: as https://www.standardwebhooks.com has it: the same id each time, a signature of each
secret, the published schedule with jitter, ``Retry-After`` heeded, and after 410 nothing more.
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

from stream.adapters.wire.outgoing import TRIGGER_CANCELS, TRIGGERS, TYPES, rfc3339
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Failed, Later, Refused, Sent
from stream.domain.campaign.reasons import Reason
from stream.domain.ids import make_id
from stream.domain.records import Trigger, TriggerCancel

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 20.0
MINUTE_S, HOUR_S = 60, 3_600
# After the first, second ... failure; the last of them is the last try.
RETRY_S: Final = (
    *(5, 5 * MINUTE_S, 30 * MINUTE_S),
    *(hours * HOUR_S for hours in (2, 5, 10, 14, 20, 24)),
)
JITTER: Final = 0.2


class Parcel(NamedTuple):
    """A request: its id and its body."""

    id: str
    body: str


class WebhookChannel:
    """Implements ``stream.delivery.channel.Channel``.

    Parameters
    ----------
    tell
        Hears the outcome of each attempt: taken, failed, refused or gone.
    """

    def __init__(
        self, endpoint: Endpoint, session: aiohttp.ClientSession, tell: Callable[[str], None]
    ) -> None:
        self._endpoint, self._session, self._tell = endpoint, session, tell
        self._hooks = [Webhook(secret) for secret in endpoint.secrets]
        self._is_gone = False

    async def prepare(
        self,
        trigger: Trigger,
        last_sent_ms: int | None,  # noqa: ARG002 - the port's
        now_ms: int,  # noqa: ARG002 - likewise
    ) -> Parcel | Later | Reason:
        """Implements ``Channel.prepare``: caps and quiet hours are for the shop's own sender."""
        if self._is_gone:
            return Reason.GONE
        return Parcel(trigger.trigger_id, _body(TRIGGERS, trigger.due_at_ms, trigger))

    def recall(self, cancel: TriggerCancel) -> Parcel | None:
        """Implements ``Channel.recall``."""
        if self._is_gone:
            return None
        # The trigger's own id would have the endpoint take it for a repetition.
        own_id = make_id(TRIGGER_CANCELS, cancel.trigger_id)
        return Parcel(own_id, _body(TRIGGER_CANCELS, cancel.at_ms, cancel))

    async def send(self, parcel: Parcel, attempts: int, now_ms: int) -> Sent | Refused | Failed:
        """Implements ``Channel.send``."""
        result = await self._result(parcel, attempts, now_ms)
        self._tell("gone" if self._is_gone else type(result).__name__.lower())
        return result

    async def _result(self, parcel: Parcel, attempts: int, now_ms: int) -> Sent | Refused | Failed:
        try:
            async with self._session.post(
                self._endpoint.url,
                data=parcel.body,
                headers=self._headers(parcel, now_ms),
                allow_redirects=False,
            ) as answer:
                code, retry_after = answer.status, answer.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return self._again(attempts, now_ms, None)
        if code < HTTPStatus.MULTIPLE_CHOICES:
            return Sent()
        if code == HTTPStatus.GONE:
            log.warning("webhook %s answers 410: nothing more goes there", self._endpoint.name)
            self._is_gone = True
            return Refused(code)
        return self._again(attempts, now_ms, code, _seconds(retry_after, now_ms))

    def _headers(self, parcel: Parcel, now_ms: int) -> dict[str, str]:
        at = datetime.fromtimestamp(now_ms // 1000, UTC)
        signatures = (hook.sign(parcel.id, at, parcel.body) for hook in self._hooks)
        return {
            "Content-Type": "application/json",
            "User-Agent": "cartwake-webhooks",
            "webhook-id": parcel.id,
            "webhook-timestamp": str(now_ms // 1000),
            "webhook-signature": " ".join(signatures),
        }

    def _again(
        self, attempts: int, now_ms: int, code: int | None, least_s: float = 0
    ) -> Failed | Refused:
        if attempts >= len(RETRY_S):
            return Refused(code)
        # Not all that failed together are tried together again.
        wait_s = RETRY_S[attempts] * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret
        return Failed(now_ms + int(max(wait_s, least_s) * 1000), "failed")


def _body(topic: str, at_ms: int, record: Trigger | TriggerCancel) -> str:
    told = {"type": TYPES[topic], "timestamp": rfc3339(at_ms), "data": msgspec.to_builtins(record)}
    return msgspec.json.encode(told).decode()


def _seconds(told: str | None, now_ms: int) -> float:
    """Return after how many seconds to come back; 0 where that is not said, or not readable."""
    if not told:
        return 0
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError):
        return 0
