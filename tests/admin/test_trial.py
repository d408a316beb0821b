"""One message that is marked as a test, by the path that real ones take."""

import asyncio
import json
import os

import pytest

from stream import cli
from stream.admin import trial
from stream.config.settings import EdgeSettings, EmailerSettings, Settings, WebhookSettings
from stream.errors import CartwakeError, UsageError
from tests.rig.mailbox import Mailbox
from tests.rig.processes import LOOPBACK, free_port
from tests.webhooks.test_endpoint import Crm


async def posted(crm, name="crm"):
    endpoint = crm.endpoint
    webhooks = WebhookSettings(endpoints=(endpoint,), allow_private=True)
    return await asyncio.to_thread(trial.webhook, Settings(webhooks=webhooks), name)


async def test_an_endpoint_gets_one_signed_trigger_that_is_marked():
    async with Crm() as crm:
        said = await posted(crm)
        ((body, headers),) = crm.heard
    trigger = json.loads(body)["data"]
    assert (trigger["reason"], trigger["visitor"]) == ("test", "cartwake-test")
    assert headers["webhook-signature"].startswith("v1,")
    assert trigger["trigger_id"] in said


@pytest.mark.parametrize("status", [302, 401, 410, 500])
async def test_an_endpoint_that_does_not_take_it_is_an_error(status):
    async with Crm() as crm:
        crm.status = status
        with pytest.raises(CartwakeError, match="test trigger"):
            await posted(crm)
        assert len(crm.heard) == 1


async def test_an_unknown_endpoint_is_refused_with_the_nearest():
    async with Crm() as crm:
        with pytest.raises(UsageError, match="no 'cmr'; the nearest is crm"):
            await posted(crm, "cmr")
        assert crm.heard == []


@pytest.fixture
def mailbox():
    with Mailbox() as mailbox:
        yield mailbox


def mailing(tmp_path, url):
    customers = tmp_path / "customers.csv"
    customers.write_text("visitor,email,locale\nv-1,anna@shop.example,en\n")
    os.utime(customers, (1, 1))  # a file that was just written may not be whole
    emailer = EmailerSettings(
        sender="Tea Shop <hello@shop.example>",
        public_url="https://events.shop.example",
        cart_url="https://shop.example/cart",
        directory=str(customers),
        smtp_url=url,
    )
    return Settings(emailer=emailer, edge=EdgeSettings(signing_keys=("k" * 32,)))


def test_a_visitor_gets_one_mail_that_is_marked(tmp_path, mailbox):
    said = trial.mail(mailing(tmp_path, mailbox.url), "v-1")
    (mail,) = mailbox.mails
    assert mail["To"] == "anna@shop.example"
    assert str(mail["Subject"]).startswith("[Test] ")
    assert mail.get_body(("html",)) is not None
    assert "anna" not in said


def test_a_visitor_without_an_address_and_a_server_that_is_away_are_errors(tmp_path, mailbox):
    with pytest.raises(CartwakeError, match="no address"):
        trial.mail(mailing(tmp_path, mailbox.url), "nobody")
    with pytest.raises(CartwakeError, match="unavailable"):
        trial.mail(mailing(tmp_path, f"smtp://{LOOPBACK}:{free_port()}"), "v-1")
    assert mailbox.mails == []


def test_the_commands_name_what_is_missing(capsys):
    assert cli.main(["emailer", "--test", "v-1"]) == 2
    assert "emailer.sender is empty" in capsys.readouterr().err
    assert cli.main(["webhooks", "--test", "crm"]) == 2
    assert "no 'crm'; there are none" in capsys.readouterr().err
