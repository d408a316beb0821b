"""What a shard's figures mean, by table, and how people are shown them."""

import io

import msgspec
import pytest
from aiokafka import TopicPartition
from rich.console import Console

from stream.adapters.kafka.describe import Group, Member
from stream.adapters.redis.reader import Counts
from stream.admin.board import board
from stream.admin.shards import Seen, ServedModels, status_of
from stream.domain.topics import LANES
from stream.shard.ports import Watermark
from stream.worker.claimed import PartitionOffsets

NOW_MS = 1_790_000_000_000
MARK = Watermark({"page-views": 90, "cart-events": 10, "consent-events": 0}, NOW_MS - 400, 7)
LIMITS = {
    "page-views": PartitionOffsets(0, 100, 0),
    "cart-events": PartitionOffsets(0, 10, 0),
    "consent-events": PartitionOffsets(0, 0, 0),
}
COUNTS = Counts(epoch=3, visitors=50, armed=20, overdue=2, pending=1)


def member(name, *numbers):
    parts = {TopicPartition(topic, number) for topic in LANES for number in numbers}
    return Member(f"faust-{name}", "10.0.0.1", frozenset(parts))


def seen(number=0, mark=MARK, limits=LIMITS, written_ms=None, stopped=""):
    return Seen(number, limits, mark, COUNTS, stopped, written_ms or {})


def status(*shards, group=Group("Stable"), models=ServedModels()):  # noqa: B008 - both are frozen
    return status_of("shop", group, shards, models, NOW_MS)


def shown(it, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(board(it))
    return out.getvalue()


def test_lag_is_what_was_stored_and_not_applied_and_how_old_its_first_record_is():
    [shard] = status(seen(written_ms={"page-views": NOW_MS - 2500})).shards
    assert (shard.lag_records, shard.lag_seconds) == (10, 2.5)


def test_the_oldest_of_the_inputs_counts():
    limits = LIMITS | {"cart-events": PartitionOffsets(0, 12, 0)}
    written = {"page-views": NOW_MS - 2500, "cart-events": NOW_MS - 9000}
    [shard] = status(seen(limits=limits, written_ms=written)).shards
    assert (shard.lag_records, shard.lag_seconds) == (12, 9.0)


@pytest.mark.parametrize("written", [{}, {"page-views": NOW_MS + 500}])
def test_a_lag_is_never_below_nothing(written):
    assert status(seen(written_ms=written)).shards[0].lag_seconds == 0


def test_a_shard_without_a_state_lags_from_where_its_log_begins():
    limits = LIMITS | {"page-views": PartitionOffsets(70, 100, 0)}
    [shard] = status(seen(mark=Watermark(), limits=limits)).shards
    assert (shard.lag_records, shard.clock_ms, shard.stopped) == (40, None, None)
    assert shard.step == 0


@pytest.mark.parametrize(("step", "words"), [(0, "no step yet"), (3, "catching up")])
def test_why_a_shard_has_no_clock_is_told(step, words):
    [shard] = status(seen(mark=Watermark(step=step))).shards
    assert (shard.step, shard.clock_ms) == (step, None)
    assert words in shown(status(seen(mark=Watermark(step=step))))
    assert words not in shown(status(seen()))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (PartitionOffsets(95, 100, 0), "page-views begins at 95, but only 90 has been reached"),
        (PartitionOffsets(0, 80, 0), "page-views ends at 80, but 90 has been reached before"),
    ],
)
def test_a_shard_whose_state_and_log_do_not_fit_is_stopped(limits, words):
    it = status(seen(limits=LIMITS | {"page-views": limits}), seen(1))
    assert [shard.stopped for shard in it.shards] == [words, None]
    assert it.totals.stopped == 1
    assert f"shard 0 is stopped: {words}" in shown(it)


def test_a_shard_that_its_worker_has_stopped_says_why():
    why = "101 dead letters in a row, most of them malformed, the first at cart-events-0-9"
    group = Group("Stable", (member("aaaa-11112222", 0, 1),))
    it = status(seen(0, stopped=why), seen(1), group=group)
    assert [shard.stopped for shard in it.shards] == [why, None]
    assert (it.totals.stopped, it.totals.owned) == (1, 2)
    assert f"shard 0 is stopped: {why}" in shown(it)


def test_a_log_that_does_not_fit_is_said_before_dead_letters():
    """Without it, no dead letter is read either."""
    limits = LIMITS | {"page-views": PartitionOffsets(95, 100, 0)}
    [shard] = status(seen(limits=limits, stopped="101 dead letters")).shards
    assert shard.stopped == "page-views begins at 95, but only 90 has been reached"


def test_a_topic_that_was_made_anew_stops_its_shards():
    mark = msgspec.structs.replace(MARK, ids={"page-views": "old"})
    limits = LIMITS | {"page-views": PartitionOffsets(0, 100, 0, topic_id="new")}
    [shard] = status(seen(mark=mark, limits=limits)).shards
    assert shard.stopped == "page-views was made anew since 90 was reached"


def test_each_shard_has_the_owner_that_the_group_tells():
    group = Group("Stable", (member("aaaa-11112222", 0), member("bbbb-33334444", 2)))
    it = status(seen(0), seen(1), seen(2), group=group)
    owners = [shard.owner and shard.owner.member for shard in it.shards]
    assert owners == ["faust-aaaa-11112222", None, "faust-bbbb-33334444"]
    assert (it.workers, it.totals.owned, it.totals.shards) == (2, 2, 3)
    assert "10.0.0.1 11112222" in shown(it)


def test_who_has_the_examples_has_no_shard_for_it():
    trainer = Member("faust-c", "10.0.0.1", frozenset({TopicPartition("training-examples", 0)}))
    assert status(seen(0), group=Group("Stable", (trainer,))).shards[0].owner is None


def test_totals_add_up_and_the_largest_lag_counts():
    it = status(
        seen(0, written_ms={"page-views": NOW_MS - 1000}),
        seen(1, written_ms={"page-views": NOW_MS - 4000}),
    )
    totals = it.totals
    assert (totals.lag_records, totals.lag_seconds) == (20, 4.0)
    assert (totals.visitors, totals.timers_armed, totals.timers_overdue) == (100, 40, 4)
    assert totals.outbox_entries == 2


def test_the_board_tells_of_all_of_it():
    it = status(seen(), models=ServedModels({"purchase": 1200}, 1300))
    text = shown(it)
    assert "group shop (Stable), 0 workers, 2026-09-21 14:13:20 UTC" in text
    assert "14:13:19 " in text, "the shard's clock"
    assert "total: 0 of 1 shards owned, lag 10 records and 0.0 s, 50 visitors, 20 timers" in text
    assert "models: purchase 1,200 examples" in text


def test_a_clock_of_another_day_has_its_date():
    mark = msgspec.structs.replace(MARK, clock_ms=NOW_MS - 86_400_000)
    assert "2026-09-20 14:13:20" in shown(status(seen(mark=mark)))


def test_a_narrow_terminal_cuts_no_figure():
    counts = Counts(epoch=12, visitors=123_456, armed=98_765, overdue=1_234, pending=5_678)
    group = Group("Stable", (member("aaaa-11112222", 0),))
    text = shown(status(msgspec.structs.replace(seen(), counts=counts), group=group), width=80)
    for figure in ("12", "123,456", "98,765", "1,234", "5,678", "10.0.0.1", "11112222"):
        assert figure in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (ServedModels(), "models: none have learnt yet"),
        (
            ServedModels(unreadable="of recipe 7"),
            "models: cannot be read, workers learn from the start: of rec",
        ),
    ],
)
def test_models_that_do_not_serve_are_told(models, words):
    assert words in shown(status(seen(), models=models))


def test_a_group_that_no_worker_has_joined_is_called_so():
    assert "group shop (unknown to Kafka), 0 workers" in shown(status(group=Group("Dead")))


KEYS = {
    "": ["group", "group_state", "at_ms", "workers", "totals", "models", "shards"],
    "totals": [
        *("shards", "owned", "stopped", "lag_records", "lag_seconds"),
        *("visitors", "timers_armed", "timers_overdue", "outbox_entries"),
    ],
    "models": ["examples", "offset", "unreadable"],
    "shard": [
        *("shard", "owner", "epoch", "lag_records", "lag_seconds", "clock_ms"),
        *("visitors", "timers_armed", "timers_overdue", "outbox_entries", "stopped", "step"),
    ],
}


def test_the_keys_of_the_json_stay_as_they_are():
    it = status(seen(), group=Group("Stable", (member("a", 0),)))
    told = msgspec.json.decode(msgspec.json.encode(it))
    shard = told["shards"][0]
    assert list(told) == KEYS[""]
    assert list(told["totals"]) == KEYS["totals"]
    assert list(told["models"]) == KEYS["models"]
    assert list(shard) == KEYS["shard"]
    assert list(shard["owner"]) == ["host", "member"]
