"""The mailer with a real mail server."""

import pytest

from stream.config.settings import EmailerSettings
from stream.delivery.channel import Accepted, Declined
from stream.emailer.smtp import (
    FAILURES_IN_A_ROW,
    AddressRefused,
    Delayed,
    Mailer,
    ServerUnavailable,
)
from tests.emailer.test_compose import ANNA, NOW_MS, composer, trigger
from tests.rig.mailbox import Mailbox


@pytest.fixture
def mailbox():
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def told():
    return []


@pytest.fixture
async def mailer(mailbox, told):
    mailer = Mailer(EmailerSettings(smtp_url=mailbox.url), told.append)
    yield mailer
    await mailer.close()


def mail(number="1", recipient=ANNA):
    return composer().compose(trigger(number), recipient, NOW_MS)


async def test_a_mail_arrives_whole(mailbox, mailer):
    sent = mail()
    assert await mailer.send(sent) == Accepted()
    (found,) = mailbox.mails
    assert found["Message-ID"] == sent["Message-ID"]
    for kind in ("plain", "html"):
        contents = (one.get_body((kind,)).get_content() for one in (found, sent))
        first, second = (content.replace("\r\n", "\n") for content in contents)
        assert first == second


async def test_one_connection_serves_many_mails(mailbox, mailer):
    for number in range(5):
        await mailer.send(mail(str(number)))
    assert (len(mailbox.mails), mailbox.connections) == (5, 1)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("550 no such user", AddressRefused(550)),
        ("553 5.1.3 bad address", AddressRefused(553)),
        ("550 5.2.1 mailbox disabled", AddressRefused(550)),
        ("450 greylisted", Delayed(450)),
        ("552 mailbox full", Declined(552)),
        ("550 5.2.2 over quota", Declined(550)),
        ("550 5.7.1 your network is blocked", Declined(550)),
        ("554 5.4.4 unroutable", Declined(554)),
    ],
)
async def test_what_is_said_of_one_recipient_concerns_one_mail(mailbox, mailer, answer, result):
    mailbox.answers["anna@mail.example"] = [answer]
    assert await mailer.send(mail()) == result
    assert mailer.held_s == 0
    assert await mailer.send(mail("2")) == Accepted()
    assert mailbox.connections == 1


@pytest.mark.parametrize(
    ("answer", "result"),
    [("554 no spam please", Declined(554)), ("451 try later", Delayed(451))],
)
async def test_what_is_said_of_one_mails_content_likewise(mailbox, mailer, answer, result):
    mailbox.data_answers = [answer]
    assert await mailer.send(mail()) == result
    assert await mailer.send(mail("2")) == Accepted()


async def test_a_server_that_is_away_holds_up_all_and_longer_each_time(mailbox, mailer, told):
    mailbox.stop()
    assert await mailer.send(mail()) == ServerUnavailable()
    first = mailer.held_s
    assert await mailer.send(mail()) == ServerUnavailable()
    assert 0 < first < mailer.held_s
    mailbox.start()
    assert await mailer.send(mail()) == Accepted()
    assert mailer.held_s == 0
    assert told == [False, True]


async def test_a_connection_that_has_died_meanwhile_is_replaced(mailbox, mailer, monkeypatch):
    monkeypatch.setattr("stream.emailer.smtp.FRESH_S", 0.0)
    assert await mailer.send(mail()) == Accepted()
    mailbox.stop()
    mailbox.start()
    assert await mailer.send(mail("2")) == Accepted()


async def test_where_the_server_refuses_the_sender_everything_waits(mailbox, mailer):
    mailbox.sender_answers = ["550 who are you"] * FAILURES_IN_A_ROW
    for number in range(FAILURES_IN_A_ROW):
        assert mailer.held_s == 0
        assert await mailer.send(mail(str(number))) == ServerUnavailable()
    assert mailer.held_s > 0


async def test_a_mail_that_is_too_large_is_its_own_fault(mailbox, mailer):
    mailbox.sender_answers = ["552 too large"]
    assert await mailer.send(mail()) == Declined(552)
    assert mailer.held_s == 0


async def test_a_mail_that_needs_what_the_server_has_not_is_its_own_fault(mailbox, mailer):
    sent = mail()
    del sent["To"]
    sent["To"] = "müller@mail.example"
    assert await mailer.send(sent) == Declined()
    assert mailer.held_s == 0
    assert await mailer.send(mail("2")) == Accepted()


async def test_a_mail_at_which_the_server_fails_is_at_fault_once_another_got_through(
    mailbox, mailer
):
    def poison():
        mailbox.sender_answers = ["550 who are you"]
        return mailer.send(mail("1"))

    assert await poison() == ServerUnavailable()
    assert mailer.held_s == 0
    assert await poison() == ServerUnavailable()
    assert await mailer.send(mail("2")) == Accepted()
    assert await poison() == Declined(550)
    assert mailer.held_s == 0


async def test_a_connection_that_is_cut_at_one_mail_holds_up_no_other(mailbox, mailer):
    mailbox.cuts = {mail("1")["Message-ID"]}
    assert await mailer.send(mail("1")) == ServerUnavailable()
    for number in range(2, 5):
        assert await mailer.send(mail(str(number))) == Accepted()
        assert await mailer.send(mail("1")) == Delayed()
        assert mailer.held_s == 0


async def test_nobody_is_named_in_the_log(mailbox, mailer, caplog):
    mailbox.answers["anna@mail.example"] = ["550 anna@mail.example is unknown"]
    await mailer.send(mail())
    mailbox.sender_answers = ["550 nothing for anna@mail.example from you"] * FAILURES_IN_A_ROW
    for number in range(FAILURES_IN_A_ROW):
        await mailer.send(mail(str(number)))
    assert "takes no mails" in caplog.text
    assert "anna" not in caplog.text
