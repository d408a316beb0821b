"""``docs/privacy.md``, walked: where a shopper is on real servers, and what an erasure leaves."""

import re
from pathlib import Path

import pytest

from stream.domain.topics import TOPICS
from tests.real.mailing import Shop
from tests.rig.processes import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()
VISITOR, PRODUCT, ORDER = "v-7f3e91", "product-5a5a", "order-c0ffee"
MUG = {"id": PRODUCT, "name": "Mug", "price_minor": 1200, "currency": "EUR"}


def rows(heading):
    """Return the tables' rows under a heading, as lists of cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_names_every_topic_and_how_long_it_is_kept():
    told = {row[0].strip("`"): row[2] for row in rows("Kafka")}
    assert told == {name: f"{topic.retention_days} days" for name, topic in TOPICS.items()}


@pytest.fixture
def shop(empty_kafka, empty_redis, tmp_path, group):
    with Shop(empty_kafka, empty_redis, tmp_path, group).running() as shop:
        yield shop


def redis_keys_with(shop, *words):
    """Return the kinds of keys whose name or bytes hold any of the words."""
    found = set()
    with shop.pipeline.redis.client() as client:
        for key in client.scan_iter():
            data = [key, *everything_in(client, key)]
            if any(word.encode() in one for word in words for one in data):
                found.add(re.sub(r".*:\{\d+\}:", "", key.decode()))
    return found


def everything_in(client, key):
    match client.type(key):
        case b"hash":
            return [one for pair in client.hgetall(key).items() for one in pair]
        case b"zset":
            return client.zrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"string":
            return [client.get(key)]
        case other:
            raise AssertionError(f"{key} is a {other}, which is not looked into")


def topics_with(shop, word):
    """Return the topics of which any record holds the word."""
    return {
        topic
        for topic in shop.kafka.topics()
        for one in shop.pipeline.published(topic)
        if word.encode() in (one.key or b"") + (one.value or b"")
    }


@pytest.mark.kafka
@pytest.mark.redis
def test_an_erased_shopper_is_nowhere_but_where_the_page_says(shop):
    shop.knows(VISITOR)
    emailer = shop.emailer()
    shop.agrees(VISITOR)
    shop.tells("page-views", "product_viewed", VISITOR, product=MUG)
    shop.tells(
        "cart-events", "order_completed", VISITOR, order=ORDER, total_minor=1, currency="EUR"
    )
    shop.tells("cart-events", "product_added", VISITOR, product=MUG, quantity=1)
    wait_until(shop.outcomes, "a mail", 60)
    kept = {row[0].strip("`").removeprefix("…:{n}:") for row in rows("Redis")[:3]}
    before = redis_keys_with(shop, VISITOR, PRODUCT, ORDER)
    assert "state" in before
    assert before <= kept

    shop.tells("consent-events", "erasure_requested", VISITOR)
    wait_until(lambda: shop.told("trigger-cancels"), "the cancel", 60)
    wait_until(lambda: shop.pipeline.stored().pending == 0, "an empty outbox", 60)
    assert redis_keys_with(shop, PRODUCT, ORDER, "mail.example") == set()
    assert redis_keys_with(shop, VISITOR) <= {"state", "wake"}
    (left,) = states(shop)
    assert len(left) < 30, "a tombstone holds a moment and no more"

    # By key or value; ids of products and orders stay with the records until these expire.
    named = {name for name, topic in TOPICS.items() if topic.is_personal}
    assert topics_with(shop, VISITOR) <= named
    assert topics_with(shop, "mail.example") == set()
    worker = shop.pipeline.workers[0]
    pages = worker.get("/metrics")[1] + emailer.get("/metrics")[1]
    for word in (VISITOR, PRODUCT, ORDER, "mail.example"):
        assert word not in worker.output + emailer.output + pages


def states(shop):
    with shop.pipeline.redis.client() as client:
        keys = [key for key in client.scan_iter() if key.endswith(b":state")]
        return [value for key in keys for value in client.hgetall(key).values()]
