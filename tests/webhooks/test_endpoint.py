"""The channel of one endpoint, with a real HTTP server behind it."""

import asyncio
import json
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from stream.adapters.wire.outgoing import rfc3339
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Accepted, Declined, Failed
from stream.domain.campaign.reasons import Reason
from stream.webhooks.egress import session
from stream.webhooks.endpoint import RETRY_S, WebhookChannel
from tests.delivery.triggers import NOW_MS, cancel, trigger
from tests.rig.processes import LOOPBACK, free_port

NEW, OLD = ("whsec_" + b64encode(one).decode() for one in (b"new secret", b"old secret"))


def now_ms():
    return int(datetime.now(UTC).timestamp() * 1000)


class Crm:
    """A shop's endpoint that answers as a test says."""

    def __init__(self):
        self.port, self.heard = free_port(), []
        self.status, self.headers = 200, {}
        self.told = []

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/hook", self.hear)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, LOOPBACK, self.port).start()
        self.session = session(allow_private=True)
        url = f"http://{LOOPBACK}:{self.port}/hook"
        self.endpoint = Endpoint(name="crm", url=url, secrets=(NEW, OLD))
        self.channel = WebhookChannel(self.endpoint, self.session, self.told.append)
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.runner.cleanup()

    async def hear(self, request):
        self.heard.append((await request.read(), dict(request.headers)))
        return web.Response(status=self.status, headers=self.headers)

    async def post(self, attempts=0, at_ms=None):
        at_ms = at_ms or now_ms()
        message = await self.channel.prepare(trigger(), None, at_ms)
        if isinstance(message, Reason):
            return message
        return await self.channel.send(message, attempts, at_ms)

    async def call_back(self, attempts=0, at_ms=None):
        message = self.channel.recall(cancel(trigger()))
        return message and await self.channel.send(message, attempts, at_ms or now_ms())


@pytest.fixture
async def crm():
    async with Crm() as crm:
        yield crm


async def test_a_trigger_is_posted_whole(crm):
    assert await crm.post() == Accepted()
    ((body, headers),) = crm.heard
    told = json.loads(body)
    assert told["type"] == "cartwake.trigger.v1"
    assert told["data"]["trigger_id"] == headers["webhook-id"] == trigger().trigger_id
    assert told["data"]["class"] == "marketing"
    assert crm.told == ["sent"]


async def test_a_cancel_is_posted_whole_under_an_id_of_its_own(crm):
    assert await crm.call_back() == Accepted()
    ((body, headers),) = crm.heard
    assert json.loads(body) == {
        "type": "cartwake.trigger-cancel.v1",
        "timestamp": rfc3339(NOW_MS),
        "data": {
            "trigger_id": trigger().trigger_id,
            "kind": "cart_abandonment",
            "tenant": "default",
            "visitor": "anna",
            "reason": "consent_refused",
            "at_ms": NOW_MS,
        },
    }
    assert headers["webhook-id"] != trigger().trigger_id
    Webhook(NEW).verify(body, headers)


@pytest.mark.parametrize("secret", [NEW, OLD])
async def test_each_of_the_secrets_verifies_it_so_that_they_can_be_changed(crm, secret):
    await crm.post()
    ((body, headers),) = crm.heard
    Webhook(secret).verify(body, headers)


async def test_no_other_secret_verifies_it_and_no_other_body(crm):
    await crm.post()
    ((body, headers),) = crm.heard
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + b64encode(b"another").decode()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body + b" ", headers)


async def test_each_attempt_has_the_same_id_and_body(crm):
    crm.status = 500
    await crm.post()
    crm.status = 200
    await crm.post(attempts=1)
    (one, first), (other, second) = crm.heard
    assert (one, first["webhook-id"]) == (other, second["webhook-id"])


async def test_each_attempt_at_a_cancel_has_the_same_id_and_body_and_another_trigger_another(crm):
    crm.status = 500
    await crm.call_back()
    crm.status = 200
    crm.channel = WebhookChannel(crm.endpoint, crm.session, crm.told.append)  # a restart
    await crm.call_back(attempts=1)
    (one, first), (other, second) = crm.heard
    assert (one, first["webhook-id"]) == (other, second["webhook-id"])
    assert crm.channel.recall(cancel(trigger("2"))).id != first["webhook-id"]


async def test_a_cancel_is_tried_again_as_a_trigger_is(crm):
    crm.status, crm.headers = 503, {"Retry-After": "900"}
    at_ms = now_ms()
    assert (await crm.call_back(0, at_ms)).not_before_ms == at_ms + 900_000
    crm.headers = {}
    for attempts, least_s in enumerate(RETRY_S):
        result = await crm.call_back(attempts, at_ms)
        assert least_s <= (result.not_before_ms - at_ms) / 1000 <= 1.2 * least_s
    assert await crm.call_back(len(RETRY_S), at_ms) == Declined(503)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 302])
async def test_what_is_not_taken_is_tried_again_by_the_published_schedule(crm, status):
    crm.status, crm.headers = status, {"Location": "http://127.0.0.1/"}
    at_ms = now_ms()
    for attempts, least_s in enumerate(RETRY_S):
        result = await crm.post(attempts, at_ms)
        assert isinstance(result, Failed)
        assert least_s <= (result.not_before_ms - at_ms) / 1000 <= 1.2 * least_s
    assert await crm.post(len(RETRY_S), at_ms) == Declined(status)
    assert len(crm.heard) == len(RETRY_S) + 1  # a redirect is not followed


def test_the_schedule_is_the_published_one():
    hours = [2, 5, 10, 14, 20, 24]
    assert list(RETRY_S) == [5, 300, 1800, *(3600 * one for one in hours)]


@pytest.mark.parametrize("as_date", [False, True])
async def test_who_says_when_to_come_back_is_heeded(crm, as_date):
    at_ms = now_ms() // 1000 * 1000
    date = format_datetime(datetime.fromtimestamp(at_ms / 1000 + 900, UTC), usegmt=True)
    crm.status, crm.headers = 503, {"Retry-After": date if as_date else "900"}
    result = await crm.post(0, at_ms)
    assert result.not_before_ms == at_ms + 900_000


@pytest.mark.parametrize("said", ["9" * 309, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_wait_beyond_any_trigger_is_bounded(crm, said):
    crm.status, crm.headers = 503, {"Retry-After": said}
    at_ms = now_ms()
    assert (await crm.post(0, at_ms)).not_before_ms == at_ms + 24 * 3_600_000


@pytest.mark.parametrize("told", ["soon", "-5", "1e9", ""])
async def test_what_cannot_be_read_of_that_is_left_out(crm, told):
    crm.status, crm.headers = 503, {"Retry-After": told}
    at_ms = now_ms()
    assert (await crm.post(0, at_ms)).not_before_ms <= at_ms + 6_000


async def test_after_410_nothing_more_is_posted(crm):
    crm.status = 410
    assert await crm.post() == Declined(410)
    crm.status = 200
    assert await crm.post() is Reason.GONE
    assert await crm.call_back() is None
    assert len(crm.heard) == 1
    assert crm.told == ["gone"]


async def test_who_is_not_there_is_tried_again(crm):
    await crm.runner.cleanup()
    assert isinstance(await crm.post(), Failed)
    assert crm.told == ["failed"]


async def test_who_does_not_answer_is_tried_again(monkeypatch):
    monkeypatch.setattr("stream.webhooks.egress.ANSWER_WITHIN_S", 0.1)
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, LOOPBACK, 0)
    port = silent.sockets[0].getsockname()[1]
    endpoint = Endpoint(name="crm", url=f"http://{LOOPBACK}:{port}/", secrets=(NEW,))
    async with session(allow_private=True) as requests:
        channel = WebhookChannel(endpoint, requests, lambda _: None)
        message = await channel.prepare(trigger(), None, now_ms())
        assert isinstance(await channel.send(message, 0, now_ms()), Failed)
    silent.close()
    await asyncio.sleep(0.05)  # until it has noticed that nobody waits any more
