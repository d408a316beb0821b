"""Whether a mail goes now, later or never, as far as the channel knows."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from stream.delivery.channel import Accepted, Declined, Failed, Later
from stream.domain.campaign.reasons import Reason
from stream.emailer.directory import AGAIN_AFTER_S, Recipient, Unavailable
from stream.emailer.mail import GOES_LAST_MS, RETRY_S, Mail
from stream.emailer.pace import MOST_DOMAINS, Pace
from stream.emailer.quiet import QuietHours
from stream.emailer.smtp import AddressRefused, Delayed, ServerUnavailable
from tests.delivery.triggers import cancel, trigger
from tests.emailer.test_compose import composer

HOUR_MS = 3_600_000
CAP_MS = 16 * HOUR_MS
BERLIN = ZoneInfo("Europe/Berlin")
NOON_MS = int(datetime(2026, 5, 5, 12, tzinfo=BERLIN).timestamp() * 1000)
NIGHT_MS, MORNING_MS = NOON_MS + 11 * HOUR_MS, NOON_MS + 21 * HOUR_MS
ANNA = Recipient("anna@Mail.example", timezone="Europe/Berlin")


class Here:
    """The shop's directory and its mail server."""

    def __init__(self, templates=None):
        self.people, self.is_away, self.asked = {"anna": ANNA}, False, []
        self.held_s, self.answer, self.objection = 0.0, Accepted(), None
        self.mail = Mail(
            self,
            templates or composer(),
            self,
            self,
            pace=Pace(1),
            quiet=QuietHours(time(21), time(9)),
            zone=BERLIN,
            cap_ms=CAP_MS,
        )

    async def find(self, who):
        self.asked.append(who)
        if self.is_away:
            raise Unavailable("the shop's directory answers 502")
        return self.people.get(who.visitor)

    async def send(self, mail):
        return self.answer

    def person(self, tenant, address):
        return address

    async def reserve(self, trigger, person, state, now_ms):
        self.asked.append(("reserve", trigger, person, state, now_ms))
        return self.objection

    def release(self, trigger, person):
        self.asked.append(("release", trigger, person))

    def note_bounce(self, person, at_ms):
        self.asked.append(("bounce", person, at_ms))

    async def prepared(self, now_ms=NOON_MS, last_sent_ms=None, **fields):
        return await self.mail.prepare(trigger(**fields), last_sent_ms, now_ms)

    async def sent(self, answer, attempts=0):
        self.answer = answer
        message = await self.prepared()
        return await self.mail.send(message, attempts, NOON_MS)


@pytest.fixture
def here():
    return Here()


async def test_by_day_a_mail_is_made(here):
    message = await here.prepared()
    assert message.mail["To"] == "anna@Mail.example"


async def test_by_night_it_waits_for_the_recipients_morning(here):
    assert await here.prepared(NIGHT_MS) == Later(MORNING_MS, "quiet_hours")
    here.people["anna"] = Recipient("anna@mail.example", timezone="America/Los_Angeles")
    assert not isinstance(await here.prepared(NIGHT_MS), Later)


@pytest.mark.parametrize("zone", [None, "Not/AZone", "../etc/passwd", "/etc/localtime"])
async def test_of_whom_no_zone_is_known_the_shops_counts(here, zone):
    here.people["anna"] = Recipient("anna@mail.example", timezone=zone)
    assert await here.prepared(NIGHT_MS) == Later(MORNING_MS, "quiet_hours")


async def test_nobody_is_mailed_too_often(here):
    just = NOON_MS - HOUR_MS
    assert await here.prepared(last_sent_ms=just) == Later(just + CAP_MS, "cap")
    assert here.asked == []
    assert not isinstance(await here.prepared(last_sent_ms=NOON_MS - CAP_MS), Later)


async def test_what_is_owed_to_the_shopper_knows_neither_night_nor_cap(here):
    message = await here.prepared(NIGHT_MS, NIGHT_MS - 1, class_="transactional")
    assert message.mail["To"] == "anna@Mail.example"


async def test_whom_the_shop_does_not_know_nothing_is_sent_ever(here):
    assert await here.prepared(visitor="ben") is Reason.NO_ADDRESS


async def test_a_template_that_fails_costs_that_mail_alone(tmp_path, caplog):
    (tmp_path / "cart_abandonment").mkdir()
    (tmp_path / "cart_abandonment" / "subject.txt").write_text("{{ cart.lines[1].product.name }}")
    here = Here(composer(tmp_path))
    assert await here.prepared() is Reason.TEMPLATE
    assert "subject.txt" in caplog.text
    assert "anna" not in caplog.text.lower()


async def test_while_the_directory_is_away_all_wait(here):
    here.is_away = True
    assert await here.prepared() == Later(NOON_MS + int(AGAIN_AFTER_S * 1000), "directory_away")


async def test_while_the_server_is_away_nobody_is_asked_who_they_are(here):
    here.held_s = 7.0
    assert await here.prepared() == Later(NOON_MS + 7_000, "server_away")
    assert here.asked == []


async def test_one_domain_is_not_written_to_too_fast_and_others_do_not_wait_for_it(here):
    here.people |= {"ben": Recipient("ben@mail.EXAMPLE"), "eve": Recipient("eve@other.example")}
    await here.prepared()
    assert await here.prepared(NOON_MS + 1, visitor="ben") == Later(NOON_MS + 1_000, "pace")
    assert not isinstance(await here.prepared(NOON_MS + 1, visitor="eve"), Later)


def test_the_pace_forgets_domains_that_were_not_written_to_for_long():
    pace = Pace(1)
    for number in range(MOST_DOMAINS + 5):
        pace.take(f"{number}.example", 0)
    assert len(pace._next_ms) == MOST_DOMAINS


async def test_what_the_server_says_is_handed_on(here):
    assert await here.sent(Accepted()) == Accepted()
    assert await Here().sent(Declined(554)) == Declined(554)


async def test_the_person_is_asked_about_last_and_an_objection_counts(here):
    message, here.objection = await here.prepared(), Later(NOON_MS + 1, "cap")
    assert await here.mail.last_look(message, trigger(), None, NOON_MS) == here.objection
    assert here.asked[-1] == ("reserve", trigger(), "anna@Mail.example", None, NOON_MS)


@pytest.mark.parametrize("answer", [Declined(554), Delayed(450), ServerUnavailable()])
async def test_what_was_not_sent_gives_up_its_place(here, answer):
    await here.sent(answer)
    assert here.asked[-1] == ("release", trigger(), "anna@Mail.example")


async def test_what_was_sent_keeps_its_place(here):
    await here.sent(Accepted())
    assert [one[0] for one in here.asked if isinstance(one[0], str)] == ["default"]


async def test_an_address_that_was_refused_is_noted_as_a_bounce(here):
    assert await here.sent(AddressRefused(550)) == Declined(550)
    assert here.asked[-1] == ("bounce", "anna@Mail.example", NOON_MS)


async def test_a_delay_is_tried_again_and_less_and_less_often(here):
    waits = []
    for attempts in range(len(RETRY_S) + 2):
        result = await Here().sent(Delayed(450), attempts)
        assert isinstance(result, Failed)
        waits.append((result.not_before_ms - NOON_MS) / 1000)
    for wait_s, least_s in zip(waits, (*RETRY_S, RETRY_S[-1], RETRY_S[-1]), strict=True):
        assert least_s <= wait_s <= 1.2 * least_s


async def test_a_server_that_went_away_is_no_failure_of_the_mail(here):
    here.answer = ServerUnavailable()
    message = await here.prepared()
    here.held_s = 3.0
    result = await here.mail.send(message, 0, NOON_MS)
    assert result == Later(NOON_MS + 3_000 + GOES_LAST_MS, "server_away")


def test_a_mail_that_was_sent_is_not_called_back(here):
    assert here.mail.recall(cancel(trigger())) is None
