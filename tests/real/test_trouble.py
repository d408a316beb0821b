"""Bad input and servers that fail, while the whole worker runs on real ones: nothing is lost."""

import json
import time
from collections import Counter
from urllib.parse import quote

import pytest

from stream.domain.topics import LANES
from tests.real.pipeline import OUTPUTS, PARTITIONS, Pipeline
from tests.rig.kafka import Kafka
from tests.rig.processes import Worker, run_cartwake, wait_until
from tests.rig.redis import Redis

IDLE_S = 2
WITHIN_S = 90.0
STOP_WITHIN_S = 15.0
SECRET = "zoe.4711@shop.example"
ALLOWED = {"personalization": "granted", "marketing_email": "granted"}


def value(kind, visitor, number=0, **fields):
    event = {"type": kind, "id": f"{visitor}-{kind}-{number}", "visitor": visitor}
    return json.dumps(event | {"at_ms": time.time_ns() // 1_000_000} | fields).encode()


def consented(visitor):
    return value("consent_updated", visitor, purposes=ALLOWED)


def added(visitor, number=0):
    product = {"id": f"mug-{number}", "price_minor": 1200, "currency": "EUR"}
    return value("product_added", visitor, number, product=product, quantity=1)


def shoppers(first, count):
    return [f"shopper-{number}" for number in range(first, first + count)]


def leave_carts(pipeline, visitors):
    """Let everybody consent, then leave a cart behind."""
    now_ms = time.time_ns() // 1_000_000
    for topic, made in (("consent-events", consented), ("cart-events", added)):
        pipeline.kafka.produce(
            topic, [(who.encode(), made(who), now_ms, None, None) for who in visitors]
        )


def reminded(pipeline):
    """Return how often each visitor has been sent each reminder."""
    return Counter((body["visitor"], body["trigger_id"]) for body in pipeline.bodies("triggers"))


def wait_for_reminders(pipeline, visitors):
    """Wait until each visitor has a reminder."""
    wait_until(
        lambda: {who for who, _ in reminded(pipeline)} >= set(visitors),
        f"reminders for {len(visitors)} visitors",
        WITHIN_S,
    )


def stop(pipeline):
    """End the worker as an operator would; return what it has said."""
    (worker,) = pipeline.workers[-1:]
    assert worker.stop(STOP_WITHIN_S) == 0
    assert "Traceback" not in worker.output
    return worker.output


@pytest.fixture
def own_redis(redis_server, tmp_path):
    """A Redis that may be killed; ``redis_server`` says whether there can be one at all."""
    server = Redis(tmp_path / "own-redis", appendfsync="always")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pipeline(empty_kafka, own_redis, tmp_path, group):
    settings = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}
    with Pipeline(empty_kafka, own_redis, tmp_path, group, **settings) as made:
        made.start_workers(1)
        yield made


# Bad input

# Topic, key, value, reason.
POISON = [
    ("cart-events", b"ann", b"{" + SECRET.encode(), "malformed"),
    ("cart-events", b"ann", b"", "empty"),
    ("cart-events", b"ann", None, "empty"),
    ("cart-events", None, None, "empty"),
    ("cart-events", b"ann", added("ann") + b" " * 70_000, "too_large"),
    ("page-views", b"ann", SECRET.encode() * 40_000, "too_large"),
    ("cart-events", None, added("ann", 7), "bad_key"),
    ("cart-events", SECRET.encode(), added("ann", 8), "bad_key"),
    ("cart-events", b"ann", value("product_added", "ann", product=SECRET, quantity=1), "invalid"),
    ("cart-events", b"ann", value("telepathy_received", "ann", mail=SECRET), "unknown_type"),
    ("page-views", b"ann", value("page_left", "ann", url="/", dwell_ms=float("inf")), "malformed"),
    ("page-views", b"ann", value("page_left", "ann", url="/", dwell_ms=float("nan")), "malformed"),
    ("consent-events", b"ann", b"[" * 60_000, "malformed"),
    ("cart-events", b"ann", b'{"type":"product_added","id":"\xff"}', "not_utf8"),
    ("cart-events", SECRET.encode(), added(SECRET), "email_as_visitor"),
    ("page-views", b"ann", added("ann", 9), "wrong_topic"),
    ("consent-events", b"ann", b"[]", "not_an_object"),
]


def test_what_can_never_be_processed_becomes_a_dead_letter_and_costs_itself_only(pipeline):
    now_ms = time.time_ns() // 1_000_000
    records = {"consent-events": [(b"ann", consented("ann"), now_ms, None, 0)]}
    sent = []
    for number, (topic, key, bad, reason) in enumerate(POISON):
        neighbour = (b"ann", added("ann", 100 + number), now_ms, None, 0)
        records.setdefault("cart-events", []).append(neighbour)
        among = records.setdefault(topic, [])
        sent.append((topic, len(among), key, bad, reason, now_ms + number))
        among.append((key, bad, now_ms + number, None, 0))
    for topic, written in records.items():  # consent first
        pipeline.kafka.produce(topic, written)
    pipeline.wait_until_folded(1 + 2 * len(POISON), WITHIN_S)
    wait_for_reminders(pipeline, ["ann"])

    letters = {_origin(it.headers): it for it in pipeline.published("dead-letters")}
    assert len(letters) == len(sent)
    for topic, offset, key, bad, reason, written_ms in sent:
        letter = letters[topic, offset]
        assert (letter.key, letter.headers["reason"].decode()) == (key, reason)
        # Kafka's clients send no record that has neither key nor value.
        assert letter.value == (b"" if key is None and bad is None else bad)
        assert letter.headers["__streams.errors.partition"] == b"0"
        assert letter.headers["appended_ms"] == str(written_ms).encode()
        assert letter.headers["ce_id"] == f"{topic}-0-{offset}".encode()
        assert SECRET.encode() not in b"".join(letter.headers.values())

    (trigger,) = pipeline.bodies("triggers")
    products = {line["product"]["id"] for line in trigger["cart"]["lines"]}
    assert products == {f"mug-{100 + number}" for number in range(len(POISON))}
    page = pipeline.workers[0].get("/metrics")[1]
    for reason, count in Counter(it[4] for it in sent).items():
        assert f'cartwake_dead_letters_total{{reason="{reason}"}} {count:.1f}' in page
    said = stop(pipeline) + page
    for secret in (SECRET, quote(SECRET), "zoe", "shop.example"):
        assert secret not in said


def _origin(headers):
    topic, offset = (headers[f"__streams.errors.{name}"].decode() for name in ("topic", "offset"))
    return topic, int(offset)


# Redis


def test_a_redis_that_is_killed_and_comes_back_costs_nothing_and_is_mentioned_once(pipeline):
    before, during = shoppers(0, 60), shoppers(60, 60)
    worker = pipeline.workers[0]
    leave_carts(pipeline, before)
    wait_until(lambda: pipeline.stored().folded > 0, "a first commit", WITHIN_S)
    pipeline.redis.kill()
    leave_carts(pipeline, during)
    reason = f"Redis at 127.0.0.1:{pipeline.redis.port} does not answer"
    wait_until(lambda: reason in worker.get("/readyz")[1], "unreadiness", WITHIN_S)
    assert worker.get("/healthz")[0] == 200
    pipeline.redis.start()
    worker.wait_until_ready(worker.is_ready, WITHIN_S)
    pipeline.wait_until_folded(240, WITHIN_S)
    wait_for_reminders(pipeline, [*before, *during])
    assert len(reminded(pipeline)) == 120  # one trigger_id each
    said = stop(pipeline)
    assert said.count("does not serve") == 1
    assert said.count("serves again") == 1


def test_a_flushed_redis_is_rebuilt_from_the_log_and_nobody_else_is_reminded(pipeline):
    visitors = shoppers(0, 40)
    leave_carts(pipeline, visitors)
    wait_for_reminders(pipeline, visitors)
    pipeline.wait_until_folded(80, WITHIN_S)
    before, known = reminded(pipeline), pipeline.visitors()
    bodies = {_id(body): body for body in map(_unscored, pipeline.bodies("triggers"))}
    with pipeline.redis.client() as client:
        client.flushall()
    # Every shard has something to write, and finds that its state is gone.
    now_ms = time.time_ns() // 1_000_000
    news = [(b"bob", consented("bob"), now_ms, None, number) for number in range(PARTITIONS)]
    pipeline.kafka.produce("consent-events", news)
    pipeline.wait_until_folded(80 + PARTITIONS, WITHIN_S)
    after = reminded(pipeline)
    assert after.keys() == before.keys()
    assert pipeline.visitors() == known + PARTITIONS  # bob is somebody else in each of them
    assert all(bodies[_id(body)] == body for body in map(_unscored, pipeline.bodies("triggers")))
    worker = pipeline.workers[0]
    worker.wait_until_ready(worker.is_ready, WITHIN_S)
    said = stop(pipeline)
    assert "reading again from what it holds" in said


def _id(body):
    return body["trigger_id"]


def _unscored(body):
    return {name: part for name, part in body.items() if name != "score"}


def test_a_worker_whose_redis_is_away_still_ends_when_told(pipeline):
    leave_carts(pipeline, shoppers(0, 30))
    pipeline.wait_until_folded(60, WITHIN_S)
    pipeline.redis.kill()
    leave_carts(pipeline, shoppers(30, 30))
    worker = pipeline.workers[0]
    wait_until(lambda: "does not serve" in worker.output, "a word about it", WITHIN_S)
    stop(pipeline)
    pipeline.redis.start()
    pipeline.start_workers(1)
    pipeline.wait_until_folded(120, WITHIN_S)
    wait_for_reminders(pipeline, shoppers(0, 60))
    stop(pipeline)


# Kafka


def test_a_kafka_that_is_killed_and_comes_back_costs_nothing_and_is_mentioned_once(pipeline):
    before, after = shoppers(0, 40), shoppers(40, 40)
    worker = pipeline.workers[0]
    leave_carts(pipeline, before)
    pipeline.wait_until_folded(80, WITHIN_S)
    pipeline.kafka.kill()
    try:
        wait_until(lambda: "Kafka at" in worker.get("/readyz")[1], "unreadiness", WITHIN_S)
        assert worker.get("/healthz")[0] == 200
    finally:
        pipeline.kafka.start()
    leave_carts(pipeline, after)
    pipeline.wait_until_folded(160, WITHIN_S)
    wait_for_reminders(pipeline, [*before, *after])
    assert len(reminded(pipeline)) == 80
    worker.wait_until_ready(worker.is_ready, WITHIN_S)
    said = stop(pipeline)
    assert said.count("does not answer; waiting for it") == 1
    assert said.count("answers again") == 1


def test_topics_with_different_partition_counts_are_refused_in_one_line(
    empty_kafka, redis_server, group
):
    empty_kafka.create_topics([*LANES, *OUTPUTS, "training-examples"][1:], 2)
    empty_kafka.create_topics([next(iter(LANES))], 3)
    settings = {
        "CARTWAKE_KAFKA__BOOTSTRAP": empty_kafka.bootstrap,
        "CARTWAKE_REDIS__URL": redis_server.url,
        "CARTWAKE_WORKER__GROUP": group,
        "CARTWAKE_WORKER__METRICS_PORT": "0",
    }
    done = run_cartwake("worker", settings=settings, timeout_s=60)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [it for it in done.stderr.splitlines() if not it.startswith("{")]
    assert line == (
        f"cartwake: Kafka at {empty_kafka.bootstrap}: the inputs need equally many partitions, but"
        " have: consent-events 3, visitor-facts 2, message-feedback 2, cart-events 2, page-views 2"
    )


# Workers


def test_a_worker_that_is_told_to_stop_leaves_nothing_half_done(pipeline):
    visitors = shoppers(0, 400)
    leave_carts(pipeline, visitors[:200])
    wait_until(lambda: pipeline.stored().folded > 0, "a first commit", WITHIN_S)
    leave_carts(pipeline, visitors[200:])
    stop(pipeline)
    assert pipeline.stored().pending == 0
    pipeline.start_workers(1)
    pipeline.wait_until_folded(800, WITHIN_S)
    wait_for_reminders(pipeline, visitors)
    assert set(reminded(pipeline).values()) == {1}
    stop(pipeline)


def test_a_worker_beyond_the_number_of_partitions_stands_by_and_is_ready(
    empty_kafka: Kafka, redis_server, tmp_path, group
):
    empty_kafka.create_topics([*LANES, *OUTPUTS, "training-examples"], 1)
    settings = {
        "CARTWAKE_KAFKA__BOOTSTRAP": empty_kafka.bootstrap,
        "CARTWAKE_REDIS__URL": redis_server.url,
        "CARTWAKE_WORKER__GROUP": group,
    }
    workers = [Worker(tmp_path, settings, name=f"worker-{number}") for number in range(3)]
    try:
        for worker in workers:
            worker.start(ready_within_s=None)
        for worker in workers:
            worker.wait_until_ready(worker.is_ready, WITHIN_S)
        assert [worker.stop(STOP_WITHIN_S) for worker in workers] == [0, 0, 0]
    finally:
        for worker in workers:
            worker.kill()
