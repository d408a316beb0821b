"""The e-mailer's own metrics."""

import math

from prometheus_client import CollectorRegistry

from stream.config.settings import EmailerSettings
from stream.emailer.metrics import EmailerMetrics
from stream.emailer.smtp import Mailer
from tests.emailer.test_compose import ANNA, NOW_MS, composer, trigger
from tests.rig.mailbox import Mailbox
from tests.rig.processes import LOOPBACK, free_port


def smtp_up(registry):
    return registry.get_sample_value("cartwake_emailer_smtp_up")


def test_before_the_first_mail_nobody_knows_whether_the_server_takes_any():
    EmailerMetrics(registry := CollectorRegistry())
    assert math.isnan(smtp_up(registry))


async def test_a_mail_shows_whether_the_server_takes_mails():
    metrics = EmailerMetrics(registry := CollectorRegistry())
    mail = composer().compose(trigger(), ANNA, NOW_MS)
    away = Mailer(EmailerSettings(smtp_url=f"smtp://{LOOPBACK}:{free_port()}"), metrics.smtp_up.set)
    await away.send(mail)
    assert smtp_up(registry) == 0
    with Mailbox() as mailbox:
        there = Mailer(EmailerSettings(smtp_url=mailbox.url), metrics.smtp_up.set)
        await there.send(mail)
        await there.close()
    assert smtp_up(registry) == 1
