"""The e-mailer as a process, on a real Kafka, a real Redis and a real mail server."""

import signal

import pytest

from tests.real import mails
from tests.real.mailing import NO_MAIL, PRODUCT, Shop
from tests.rig.processes import wait_until


@pytest.fixture
def shop(empty_kafka, empty_redis, tmp_path, group):
    with Shop(empty_kafka, empty_redis, tmp_path, group).running() as shop:
        yield shop


def wait_for(condition, what):
    wait_until(condition, what, 30)


def test_a_left_cart_becomes_one_mail_and_its_outcome(shop):
    shop.knows("anna")
    emailer = shop.emailer()
    shop.leaves_a_cart("anna")
    wait_for(shop.outcomes, "an outcome")
    (mail,) = shop.mailbox.mails
    trigger = shop.triggers()["anna"]
    assert mail["To"] == "anna@mail.example"
    assert mail["Message-ID"] == f"<{trigger['trigger_id']}@shop.example>"
    assert "2 x Mug  €24.00 (€12.00 each)" in mail.get_body(("plain",)).get_content()
    assert shop.outcomes()[trigger["trigger_id"]]["type"] == "message_sent"
    page = emailer.get("/metrics")[1]
    sent = 'messages_total{channel="email",kind="cart_abandonment",outcome="sent"} 1.0'
    assert sent in page
    assert emailer.stop() == 0
    for secret in ("anna", "mail.example"):
        assert secret not in emailer.output
        assert secret not in page
    assert b"mail.example" not in shop.everything_stored()


def test_two_browsers_of_one_person_get_one_mail_and_one_unsubscription_ends_both(shop):
    shop.knows("laptop", "phone", "tablet", email="anna@mail.example")
    shop.emailer(cap_s=600)
    shop.agrees("tablet")  # before the unsubscription, which a newer grant would lift
    shop.leaves_a_cart("laptop")
    wait_for(shop.outcomes, "a mail")
    emailer = shop.emailers[0]
    shop.leaves_a_cart("phone")
    waits = 'postponed_total{channel="email",why="cap"}'
    wait_for(lambda: waits in emailer.get("/metrics")[1], "the second mail to wait")
    assert len(shop.mailbox.mails) == 1
    sent = shop.triggers()["laptop"]["trigger_id"]
    shop.tells(
        "message-feedback", "message_unsubscribed", "laptop", trigger_id=sent, channel="email"
    )
    shop.tells("cart-events", "product_added", "tablet", product=PRODUCT, quantity=1)
    wait_for(lambda: "tablet" in {one["visitor"] for one in shop.outcomes().values()}, "its end")
    (tablets,) = [one for one in shop.outcomes().values() if one["visitor"] == "tablet"]
    assert (tablets["type"], tablets["reason"]) == ("message_skipped", "unsubscribed")
    assert len(shop.mailbox.mails) == 1


def test_what_happened_after_the_trigger_keeps_the_mail_from_being_sent(shop):
    """No e-mailer runs while the triggers are made and the shoppers think again."""
    names = ["stays", "buys", "withdraws", "changes", "unknown"]
    shop.knows(*names[:-1])
    for name in names:
        shop.leaves_a_cart(name)
    wait_for(lambda: len(shop.triggers()) == len(names), "the triggers")
    shop.buys("buys")
    shop.agrees("withdraws", NO_MAIL)
    shop.tells("cart-events", "product_removed", "changes", product_id="mug")
    shop.emailer()
    wait_for(lambda: len(shop.outcomes()) == len(names), "the outcomes")
    outcomes = {one["visitor"]: one.get("reason", one["type"]) for one in shop.outcomes().values()}
    assert outcomes.pop("withdraws") in {"no_consent", "cancelled"}
    assert outcomes == {
        "stays": "message_sent",
        "buys": "bought",
        "changes": "cart_changed",
        "unknown": "no_address",
    }
    assert shop.mailbox.recipients() == {"stays@mail.example": 1}


def test_a_withdrawal_that_kafka_has_is_known_though_no_worker_has_read_it_yet(shop):
    """The worker is frozen, so that the state still says yes."""
    shop.knows("anna")
    shop.leaves_a_cart("anna")
    wait_for(shop.triggers, "the trigger")
    shop.pipeline.workers[0].pause()
    shop.agrees("anna", NO_MAIL)
    emailer = shop.emailer()
    doubt = 'postponed_total{channel="email",why="in_doubt"}'
    wait_for(lambda: doubt in emailer.get("/metrics")[1], "a doubt")
    assert shop.mailbox.mails == []
    shop.pipeline.workers[0].resume()
    wait_for(shop.outcomes, "an outcome")
    assert shop.mailbox.mails == []


def test_a_cart_that_was_bought_while_its_mail_had_to_wait_is_not_mailed(shop):
    shop.knows("anna")
    shop.mailbox.stop()
    emailer = shop.emailer()
    shop.leaves_a_cart("anna")
    waits = 'postponed_total{channel="email",why="server_away"}'
    wait_for(lambda: waits in emailer.get("/metrics")[1], "the mail to wait")
    shop.buys("anna")
    shop.mailbox.start()
    wait_for(shop.outcomes, "an outcome")
    assert [one["reason"] for one in shop.outcomes().values()] == ["bought"]
    assert shop.mailbox.mails == []


def test_several_share_the_work_and_take_over_from_one_that_dies(shop):
    names = [f"v{number}" for number in range(60)]
    shop.knows(*names)
    first, _ = shop.emailer("one"), shop.emailer("two")
    for name in names[:30]:
        shop.leaves_a_cart(name)
    wait_for(lambda: len(shop.outcomes()) >= 10, "some mails")
    first.kill()
    for name in names[30:]:
        shop.leaves_a_cart(name)
    wait_until(lambda: len(shop.outcomes()) == len(names), "all mails", 60)
    found = shop.mailbox.ids()
    assert set(found) == set(shop.outcomes())
    assert found.total() - len(found) <= 1


def test_a_mail_server_that_comes_back_gets_what_waited_and_nothing_twice(shop):
    shop.knows("anna", "ben")
    shop.mailbox.stop()
    emailer = shop.emailer()
    shop.leaves_a_cart("anna")
    shop.leaves_a_cart("ben")
    down = "cartwake_emailer_smtp_up 0.0"
    wait_for(lambda: len(shop.triggers()) == 2 and down in emailer.get("/metrics")[1], "the loss")
    shop.mailbox.start()
    wait_for(lambda: len(shop.outcomes()) == 2, "the mails")
    assert shop.mailbox.recipients() == {"anna@mail.example": 1, "ben@mail.example": 1}


def test_a_restart_sends_nothing_again_and_what_was_left_is_sent(shop):
    shop.knows("anna")
    emailer = shop.emailer()
    shop.leaves_a_cart("anna")
    wait_for(shop.outcomes, "a mail")
    assert emailer.stop() == 0
    shop.knows("ben")
    shop.leaves_a_cart("ben")
    wait_for(lambda: len(shop.triggers()) == 2, "a trigger meanwhile")
    shop.repeat_triggers()
    emailer.start()
    wait_for(lambda: len(shop.outcomes()) == 2, "the other mail")
    assert shop.mailbox.recipients() == {"anna@mail.example": 1, "ben@mail.example": 1}


def test_ctrl_c_is_told_from_an_orderly_end(shop):
    emailer = shop.emailer()
    emailer.signal(signal.SIGINT)
    assert emailer.wait() == 130
    assert "Traceback" not in emailer.output


def test_of_many_triggers_exactly_the_right_become_mails_though_the_emailer_is_killed(shop):
    result = mails.run(shop, triggers=150, kills=2)
    assert result.wrong == []
    assert result.mails - result.expected == result.repeated <= 2
    assert set(result.outcomes) == {"sent", "cancelled", "expired", "no_consent"} or set(
        result.outcomes
    ) == {"sent", "cancelled", "expired"}
