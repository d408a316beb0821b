"""What counts for a person, whatever browser was used, on a real Redis."""

import msgspec
import pytest

from stream.adapters.redis.connection import Connection
from stream.delivery.channel import Later
from stream.domain.campaign.reasons import Reason
from stream.domain.consent import Choice
from stream.domain.events import ErasureRequested
from stream.domain.feedback import MessageBounced, MessageUnsubscribed
from stream.domain.visitor import Visitor
from stream.emailer.people import BOUNCED, CONFIRMED, KEPT_S, LINKED_S, UNSUBSCRIBED, People
from tests.delivery.triggers import NOW_MS, trigger

CAP_MS, KEY = 57_600_000, "a key of hashes"
GRANTED_MS = NOW_MS - 1_000_000
LAPTOP, PHONE = trigger("1", visitor="laptop"), trigger("2", visitor="phone")
ADDRESS = "Anna@mail.example"


class Here:
    """An e-mailer's memory, and the log that it listens to."""

    def __init__(self, redis):
        self.redis, self.people = redis, People(redis, "shop:emailer", KEY, CAP_MS)
        self.person = self.people.person("default", ADDRESS)

    async def asks(self, about, granted_ms=GRANTED_MS, now_ms=NOW_MS):
        state = Visitor(consent={"marketing_email": Choice("granted", granted_ms, granted_ms)})
        return await self.people.reserve(about, self.person, state, now_ms)

    async def mails(self, about):
        assert await self.asks(about) is None

    async def free(self):
        """Let the time of the cap pass."""
        await self.redis.run("DEL", f"{self.person}:mailed")

    def hears(self, kind, about, at_ms=NOW_MS, topic="message-feedback", **fields):
        if kind is not ErasureRequested:
            fields = {"trigger_id": about.trigger_id, "channel": "email"} | fields
        event = kind(id="e", visitor=about.visitor, at_ms=at_ms, **fields)
        self.people.hear(topic, msgspec.json.encode(event))


@pytest.fixture
async def here(empty_redis):
    redis = Connection(empty_redis.url)
    yield Here(redis)
    await redis.close()


def test_a_person_is_a_keyed_hash_of_the_address_whatever_its_case(here):
    assert here.person == here.people.person("default", " anna@MAIL.example ")
    assert here.person != here.people.person("default", "ben@mail.example")
    assert here.person != here.people.person("other shop", ADDRESS)
    assert here.person != People(here.redis, "shop:emailer", "another", 0).person(
        "default", ADDRESS
    )
    assert "anna" not in here.person.lower()


async def test_two_browsers_of_one_person_get_one_mail_in_the_time_of_the_cap(here):
    await here.mails(LAPTOP)
    later = await here.asks(PHONE)
    assert isinstance(later, Later)
    assert later.why == "cap"
    assert NOW_MS + CAP_MS - 60_000 < later.not_before_ms <= NOW_MS + CAP_MS
    await here.mails(LAPTOP)  # the same mail again, after a crash
    await here.free()
    await here.mails(PHONE)


async def test_a_mail_that_was_not_sent_keeps_no_other_from_being_sent(here):
    await here.mails(LAPTOP)
    here.people.release(PHONE, here.person)
    assert isinstance(await here.asks(PHONE), Later)
    here.people.release(LAPTOP, here.person)
    await here.mails(PHONE)


async def test_a_transactional_mail_knows_no_cap_and_no_unsubscription(here):
    await here.mails(LAPTOP)
    here.hears(MessageUnsubscribed, LAPTOP)
    assert await here.asks(trigger("3", class_="transactional")) is None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(MessageUnsubscribed, Reason.UNSUBSCRIBED), (MessageBounced, Reason.BOUNCED)],
)
async def test_what_ends_one_browsers_mails_ends_the_others_until_a_new_grant(here, kind, reason):
    await here.mails(LAPTOP)
    await here.free()
    here.hears(kind, LAPTOP)
    assert await here.asks(PHONE) is reason
    assert await here.asks(PHONE, granted_ms=NOW_MS) is reason
    assert await here.asks(PHONE, granted_ms=NOW_MS + 1) is None
    await here.free()
    # Confirmed in one browser it is confirmed for the person, also when the log is read again.
    here.hears(kind, LAPTOP)
    assert await here.asks(LAPTOP) is None
    await here.free()
    here.hears(kind, LAPTOP, at_ms=NOW_MS + 2)
    assert await here.asks(LAPTOP) is reason
    here.hears(kind, LAPTOP)  # an older one, read again
    assert await here.asks(LAPTOP, granted_ms=NOW_MS + 1) is reason


async def test_a_soft_bounce_and_another_channels_feedback_end_nothing(here):
    await here.mails(LAPTOP)
    await here.free()
    here.hears(MessageBounced, LAPTOP, bounce="soft")
    here.hears(MessageBounced, LAPTOP, channel="sms")
    here.hears(MessageUnsubscribed, LAPTOP, channel="sms")
    here.people.hear("message-feedback", b"\xff")
    assert await here.asks(PHONE) is None


async def test_an_address_that_the_server_refuses_gets_nothing_more(here):
    here.people.note_bounce(here.person, NOW_MS)
    assert await here.asks(PHONE) is Reason.BOUNCED
    assert await here.asks(trigger("3", class_="transactional")) is Reason.BOUNCED


async def test_all_that_is_kept_expires(here):
    await here.mails(LAPTOP)
    here.hears(MessageUnsubscribed, LAPTOP)
    await here.people.settle()
    keys = [key.decode() for key in await here.redis.run("KEYS", "*")]
    assert len(keys) == 3
    for key in keys:
        assert key.startswith("shop:emailer:")
        assert await here.redis.run("PTTL", key) > 0
        assert not {"anna", "laptop"} & set(key.lower().split(":"))


async def test_an_erasure_leaves_nothing(here):
    await here.mails(LAPTOP)
    here.hears(MessageBounced, LAPTOP, bounce="hard")
    here.hears(ErasureRequested, LAPTOP, at_ms=NOW_MS - 1, topic="consent-events")  # read again
    await here.people.settle()
    assert len(await here.redis.run("KEYS", "*")) == 3
    here.hears(ErasureRequested, LAPTOP, topic="consent-events")
    await here.people.settle()
    (link,) = await here.redis.run("KEYS", "*")
    assert 0 < await here.redis.run("TTL", link) <= LINKED_S


async def test_an_unsubscription_that_is_read_after_the_erasure_still_counts(here):
    await here.mails(LAPTOP)
    here.hears(ErasureRequested, LAPTOP, at_ms=NOW_MS + 1, topic="consent-events")
    here.hears(MessageUnsubscribed, LAPTOP)
    assert await here.asks(PHONE) is Reason.UNSUBSCRIBED


async def test_an_erasure_of_one_browser_keeps_the_unsubscription_of_the_address_alone(here):
    await here.mails(LAPTOP)
    here.hears(MessageUnsubscribed, LAPTOP)
    here.hears(MessageBounced, LAPTOP, bounce="hard")
    here.hears(ErasureRequested, LAPTOP, at_ms=NOW_MS + 1, topic="consent-events")
    assert await here.asks(PHONE) is Reason.UNSUBSCRIBED
    assert f"{here.person}:mailed".encode() not in await here.redis.run("KEYS", "*")
    assert int(*await here.redis.run("HMGET", here.person, UNSUBSCRIBED)) == NOW_MS
    assert await here.redis.run("HMGET", here.person, BOUNCED, CONFIRMED) == [b"0", b"0"]
    assert 0 < await here.redis.run("TTL", here.person) <= KEPT_S
    assert await here.asks(PHONE, granted_ms=NOW_MS + 2) is None  # agreed anew
