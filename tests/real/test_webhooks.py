"""Webhooks as a process, on a real Kafka and a real Redis, with real endpoints."""

import json

import pytest
from standardwebhooks import Webhook

from tests.real.mailing import NO_MAIL, Shop
from tests.rig.endpoint import SECRET, Endpoint
from tests.rig.processes import Served, wait_until


@pytest.fixture
def shop(empty_kafka, empty_redis, tmp_path, group):
    with Shop(empty_kafka, empty_redis, tmp_path, group).running() as shop:
        yield shop


@pytest.fixture
def endpoints():
    made = [Endpoint(), Endpoint()]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def webhooks(shop, endpoints, tmp_path, group):
    told = [
        {"name": name, "url": one.url, "secrets": [SECRET]}
        for name, one in zip(("crm", "sms"), endpoints, strict=True)
    ]
    settings = shop.pipeline.settings | {
        "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(told),
        "CARTWAKE_WEBHOOKS__ALLOW_PRIVATE": "true",
        "CARTWAKE_WEBHOOKS__GROUP": f"hooks-{group}",
    }
    program = Served("webhooks", tmp_path, settings, "webhooks")
    yield program
    program.kill()


def test_each_endpoint_gets_each_trigger_and_a_slow_one_holds_up_nobody(shop, endpoints, webhooks):
    slow, quick = endpoints
    slow.delay.clear()
    webhooks.start()
    for name in ("anna", "ben", "cleo", "dora", "eve", "fay"):
        shop.leaves_a_cart(name)
    wait_until(lambda: len(quick.heard) == 6, "the quick endpoint", 30)
    slow.delay.set()
    wait_until(lambda: len(shop.pipeline.bodies("message-feedback")) == 12, "all outcomes", 30)
    assert sorted(slow.visitors()) == sorted(quick.visitors())
    body, headers = quick.heard[0]
    Webhook(SECRET).verify(body, headers)
    channels = {one["channel"] for one in shop.pipeline.bodies("message-feedback")}
    assert channels == {"webhook/crm", "webhook/sms"}
    assert webhooks.stop() == 0


def test_who_has_withdrawn_meanwhile_is_told_to_nobody(shop, endpoints, webhooks):
    shop.leaves_a_cart("anna")
    shop.leaves_a_cart("ben")
    wait_until(lambda: len(shop.triggers()) == 2, "the triggers", 30)
    shop.agrees("ben", NO_MAIL)
    webhooks.start()
    wait_until(lambda: len(shop.pipeline.bodies("message-feedback")) == 4, "all outcomes", 30)
    assert [one.visitors() for one in endpoints] == [["anna"], ["anna"]]


def test_a_restart_posts_nothing_again_and_tries_again_what_failed(shop, endpoints, webhooks):
    endpoints[0].statuses = [500]
    webhooks.start()
    shop.leaves_a_cart("anna")
    wait_until(lambda: endpoints[0].heard and endpoints[1].heard, "both endpoints", 30)
    webhooks.kill()
    webhooks.start()
    wait_until(lambda: len(shop.pipeline.bodies("message-feedback")) == 2, "all outcomes", 60)
    assert len(endpoints[0].heard) == 2
    (first, second) = (headers["webhook-id"] for _, headers in endpoints[0].heard)
    assert first == second


TRIGGER, CANCEL = "cartwake.trigger.v1", "cartwake.trigger-cancel.v1"


def outcomes(shop):
    """Return what has been told, by channel."""
    found = {"webhook/crm": [], "webhook/sms": []}
    for one in shop.pipeline.bodies("message-feedback"):
        found[one["channel"]].append(one["type"])
    return found


def test_who_has_taken_a_trigger_is_told_once_that_it_is_cancelled(shop, endpoints, webhooks):
    slow, failing = endpoints
    slow.delay.clear()
    failing.statuses = [204, 500]
    webhooks.start()
    shop.leaves_a_cart("anna")
    wait_until(lambda: slow.heard and outcomes(shop)["webhook/sms"], "the trigger at both", 30)
    shop.agrees("anna", NO_MAIL)
    wait_until(lambda: len(failing.heard) == 2, "the cancel", 30)
    # To the one the trigger is still on its way.
    assert slow.types() == [TRIGGER]
    slow.delay.set()
    both = ["message_sent", "cancel_sent"]
    wait_until(lambda: outcomes(shop)["webhook/crm"] == both, "the cancel at the slow one", 30)
    webhooks.kill()
    webhooks.start()
    wait_until(lambda: outcomes(shop)["webhook/sms"] == both, "the cancel at both", 30)
    assert slow.types() == [TRIGGER, CANCEL]
    assert failing.types() == [TRIGGER, CANCEL, CANCEL]
    (_, sent), (one, first), (other, second) = failing.heard
    assert (one, first["webhook-id"]) == (other, second["webhook-id"])
    assert first["webhook-id"] != sent["webhook-id"]
    Webhook(SECRET).verify(one, first)


def test_who_was_posted_nothing_hears_of_no_cancel_and_who_has_not_answered_does(
    shop, endpoints, webhooks
):
    failing, _ = endpoints
    failing.statuses = [500]
    for name in ("anna", "ben"):
        shop.leaves_a_cart(name)
    wait_until(lambda: len(shop.triggers()) == 2, "the triggers", 30)
    shop.agrees("anna", NO_MAIL)
    wait_until(lambda: shop.pipeline.bodies("trigger-cancels"), "the cancel", 30)
    webhooks.start()
    wait_until(lambda: failing.heard and len(outcomes(shop)["webhook/sms"]) == 2, "both", 30)
    shop.agrees("ben", NO_MAIL)
    wait_until(lambda: all(len(one) == 3 for one in outcomes(shop).values()), "the cancels", 30)
    for one in endpoints:
        assert one.visitors() == ["ben", "ben"]
        assert one.types() == [TRIGGER, CANCEL]
