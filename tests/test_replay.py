import gzip
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings

from stream import replay
from stream.config.settings import SECTIONS, HoldoutSettings, Settings
from stream.errors import CartwakeError
from tests.scenarios.world import (
    DAY,
    HOUR,
    IDLE,
    MINUTE,
    SECOND,
    SETTINGS,
    T0,
    added,
    bought,
    consented,
    erasure,
    leaving,
    refused,
    shopping,
    viewed,
)

DRAIN_S = 2_700
SOME = settings(
    deadline=None,
    max_examples=40,
    # The folder and the patch are made anew by each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OUTPUTS = ("triggers", "decisions", "trigger-cancels", "dead-letters")


@pytest.fixture
def run(tmp_path):
    """Return a function that replays lines and returns everything that was written."""

    def run(*lines, drain_s=DRAIN_S, settings=SETTINGS, name="events.jsonl", write=None):
        events, out = tmp_path / name, tmp_path / "out"
        data = b"".join(_line(line) + b"\n" for line in lines)
        (write or type(events).write_bytes)(events, data)
        replay.run(str(events), out, settings, drain_s)
        return results(out)

    return run


def _line(line):
    return line if isinstance(line, bytes) else json.dumps(line).encode()


def results(out):
    found = {name: _values(out / f"{name}.jsonl") for name in OUTPUTS}
    return found | {"summary": json.loads((out / "summary.json").read_bytes())}


def _values(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def due(found):
    return [one["due_at_ms"] for one in found["triggers"]]


def abandoned(at_ms=T0, visitor="ann"):
    return [consented(at_ms, visitor), added(at_ms, visitor)]


# The clock


def test_a_timer_due_before_the_next_event_fires_before_it(run):
    found = run(*abandoned(), bought(T0 + IDLE + 1), drain_s=0)
    assert due(found) == [T0 + IDLE]


def test_an_event_at_exactly_the_due_moment_comes_first(run):
    found = run(*abandoned(), bought(T0 + IDLE), drain_s=0)
    assert found["decisions"] == []


def test_another_visitors_event_moves_the_clock(run):
    assert due(run(*abandoned(), viewed(T0 + IDLE + 1, "bob"), drain_s=0)) == [T0 + IDLE]


@pytest.mark.parametrize("bot", [True, False])
def test_the_event_of_a_bot_is_a_valid_event_and_moves_the_clock(run, bot):
    late = viewed(T0 + IDLE + 1, "bob", context={"bot": bot})
    assert due(run(*abandoned(), late, drain_s=0)) == [T0 + IDLE]


def test_a_dead_letter_does_not_move_the_clock(run):
    broken = viewed(T0 + 9 * DAY) | {"url": 5}
    assert due(run(*abandoned(), broken, drain_s=0)) == []


def test_the_clock_does_not_run_backwards_with_a_late_event(run):
    late = added(T0 + 20 * MINUTE, "bob")
    lines = [*abandoned(), consented(T0, "bob"), viewed(T0 + 60 * MINUTE, "eve"), late]
    found = run(*lines, drain_s=0)
    assert sorted(due(found)) == [T0 + IDLE, T0 + 50 * MINUTE]


def test_the_clock_starts_with_the_first_event_however_old(run):
    start = -(2**53)
    assert due(run(*abandoned(start), viewed(start + HOUR), drain_s=0)) == [start + IDLE]


def test_lines_are_taken_in_file_order_and_not_sorted(run):
    found = run(consented(T0), added(T0 + MINUTE), added(T0 + MINUTE - 1, quantity=2), drain_s=0)
    assert found["summary"]["applied"] == 3
    refused = run(added(T0 + 1), consented(T0), drain_s=0)
    assert refused["summary"]["refused_consent"] == 1


# Draining


@pytest.mark.parametrize(("drain_s", "fires"), [(0, 0), (1799, 0), (1800, 1), (2700, 1)])
def test_at_the_end_timers_due_within_the_drain_time_fire_inclusive(run, drain_s, fires):
    assert len(run(*abandoned(), drain_s=drain_s)["triggers"]) == fires


def test_draining_counts_from_the_latest_event_not_from_the_last_line(run):
    lines = [*abandoned(), viewed(T0 + 20 * MINUTE, "bob"), viewed(T0 + MINUTE, "bob")]
    assert due(run(*lines, drain_s=600)) == [T0 + IDLE]
    assert due(run(*lines, drain_s=599.999)) == []


def test_a_follow_up_that_draining_itself_makes_due_fires_too(run):
    found = run(*abandoned(), drain_s=IDLE // SECOND + DAY // SECOND)
    assert due(found) == [T0 + IDLE, T0 + IDLE + DAY]
    assert [one["step"] for one in found["triggers"]] == [0, 1]


def test_draining_beyond_every_timer_ends(run):
    found = run(*abandoned(), drain_s=400 * DAY // SECOND)
    assert [one["step"] for one in found["triggers"]] == [0, 1, 2]


def test_fractions_of_a_second_count_in_milliseconds(run):
    assert run(*abandoned(), drain_s=1_799.999)["triggers"] == []


def test_more_timers_than_a_step_takes_all_fire(run, monkeypatch):
    monkeypatch.setattr("stream.shard.shard.DUE_PER_STEP", 2)
    lines = [line for n in range(7) for line in abandoned(visitor=f"v{n}")]
    assert len(run(*lines)["triggers"]) == 7


# The time an event came in


def test_the_time_it_came_in_stands_for_the_records_timestamp(run):
    far = added(T0 + 9 * DAY) | {"received_at_ms": T0}
    found = run(consented(T0), far)
    assert due(found) == [T0 + MINUTE + IDLE]


def test_an_event_older_than_a_day_is_taken_as_a_day_old_and_arms_nothing(run):
    old = added(T0 - 9 * DAY) | {"received_at_ms": T0}
    later = viewed(T0 - DAY + MINUTE)
    assert due(run(consented(T0 - 9 * DAY), old)) == []
    assert due(run(consented(T0 - 9 * DAY), old, later)) == [T0 - DAY + MINUTE + IDLE]


def test_importing_consent_and_cart_of_90_days_ago_reminds_nobody(run):
    imported = [one | {"received_at_ms": T0} for one in abandoned(T0 - 90 * DAY)]
    found = run(*imported, drain_s=99 * DAY // SECOND)
    assert (found["triggers"], found["decisions"]) == ([], [])
    assert found["summary"]["applied"] == len(imported)


def test_a_refusal_by_a_slow_clock_counts_from_when_it_was_received(run):
    grant = consented(T0)
    no = refused(T0 - 2 * MINUTE) | {"received_at_ms": T0 + MINUTE}
    assert due(run(grant, added(T0), no)) == []
    assert due(run(grant, added(T0), no | {"received_at_ms": T0 - 1})) == [T0 + IDLE]


def test_without_a_time_it_came_in_its_own_time_is_believed(run):
    assert due(run(*abandoned(T0 - 900 * DAY))) == [T0 - 900 * DAY + IDLE]


def test_the_clock_is_the_clamped_event_time(run):
    # It came in an hour later than it happened: only the event's own time counts for the clock.
    late = viewed(T0 + MINUTE, "bob") | {"received_at_ms": T0 + HOUR}
    assert due(run(*abandoned(), late, drain_s=0)) == []
    ahead = viewed(T0 + DAY, "bob") | {"received_at_ms": T0 + IDLE}
    assert due(run(*abandoned(), ahead, drain_s=0)) == [T0 + IDLE]


# Lines


def test_blank_lines_are_skipped_and_lines_count_from_one(run):
    found = run(b"", b"{", b"  \t", consented(T0), b"\r", b"[]", b"")
    assert found["dead-letters"] == [
        {"line": 2, "reason": "malformed"},
        {"line": 6, "reason": "not_an_object"},
    ]
    assert found["summary"]["events"] == 3


def test_lines_may_end_in_any_common_way_and_the_last_one_not_at_all(tmp_path):
    path, out = tmp_path / "e.jsonl", tmp_path / "out"
    lines = [_line(one) for one in abandoned()]
    path.write_bytes(lines[0] + b"\r\n" + lines[1])
    replay.run(str(path), out, SETTINGS, DRAIN_S)
    assert len(results(out)["triggers"]) == 1


def test_an_empty_file_gives_empty_results(run):
    found = run()
    assert [found[name] for name in OUTPUTS] == [[], [], [], []]
    assert found["summary"]["events"] == 0


def test_each_bad_line_is_a_dead_letter_and_its_neighbours_count(run):
    huge = json.dumps(viewed(T0, title="x" * 70_000)).encode()
    first, second = abandoned()
    found = run(first, b"\xff", huge, second, viewed(T0, "a@b.test"), {"type": "unheard_of"})
    assert [one["reason"] for one in found["dead-letters"]] == [
        "not_utf8",
        "too_large",
        "email_as_visitor",
        "unknown_type",
    ]
    assert len(found["triggers"]) == 1
    assert set(found["dead-letters"][0]) == {"line", "reason"}


def test_events_of_all_topics_stand_in_one_file(run):
    found = run(consented(T0), added(T0), leaving(T0 + MINUTE), drain_s=0)
    assert [one["kind"] for one in found["triggers"]] == ["exit_intent"]


def test_a_compressed_file_gives_the_same(run, tmp_path):
    plain = run(*abandoned())
    packed = run(
        *abandoned(),
        name="events.jsonl.gz",
        write=lambda path, data: path.write_bytes(gzip.compress(data)),
    )
    assert _without_time(packed) == _without_time(plain)


def test_standard_input_gives_the_same(run, tmp_path, monkeypatch):
    plain = run(*abandoned())
    data = b"".join(_line(line) + b"\n" for line in abandoned())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    out = tmp_path / "piped"
    replay.run("-", out, SETTINGS, DRAIN_S)
    assert _without_time(results(out)) == _without_time(plain)


def _without_time(found):
    summary = {name: value for name, value in found["summary"].items() if name != "seconds"}
    return found | {"summary": summary}


# What is written


def test_values_are_those_of_the_topics(run):
    found = run(*abandoned(), leaving(T0 + MINUTE), erasure(T0 + MINUTE + 1))
    (trigger,) = found["triggers"]
    (decision,) = found["decisions"]
    (cancel,) = found["trigger-cancels"]
    assert (trigger["kind"], trigger["class"], trigger["visitor"]) == (
        "exit_intent",
        "onsite",
        "ann",
    )
    assert (decision["outcome"], decision["trigger_id"]) == ("fired", trigger["trigger_id"])
    assert (cancel["trigger_id"], cancel["reason"]) == (trigger["trigger_id"], "erased")


def test_the_same_file_gives_the_same_ids(run):
    assert due(run(*abandoned())) == due(run(*abandoned()))
    first, again = run(*abandoned()), run(*abandoned())
    assert [first[name] for name in OUTPUTS] == [again[name] for name in OUTPUTS]


def test_the_folder_is_made_and_older_results_are_replaced(tmp_path):
    events, out = tmp_path / "e.jsonl", tmp_path / "a" / "b"
    events.write_bytes(b"{\n")
    replay.run(str(events), out, SETTINGS, DRAIN_S)
    events.write_bytes(b"")
    replay.run(str(events), out, SETTINGS, DRAIN_S)
    assert results(out)["dead-letters"] == []
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.jsonl" for name in OUTPUTS),
        "summary.json",
    }


def test_the_summary_accounts_for_every_event(run):
    cart = added(T0 + 1)
    summary = run(
        consented(T0),
        leaving(T0 + 1),
        cart,
        cart,
        consented(T0 - HOUR, purposes={"personalization": "denied"}),
        viewed(T0, "bob"),
        viewed(T0, context={"bot": True}),
        b"{",
    )["summary"]
    assert summary | {"seconds": 0, "models": {}} == {
        "events": 8,
        "applied": 4,
        "duplicates": 1,
        "refused_consent": 1,
        "bots": 1,
        "dead_letters": 1,
        "fired": 1,
        "skipped": 0,
        "exits_without_cart": 1,
        "seconds": 0,
        "models": {},
    }
    assert summary["seconds"] >= 0


def test_fired_and_skipped_count_decisions(run):
    events = [*abandoned(), leaving(T0 + MINUTE, dwell_ms=10), leaving(T0 + 2 * MINUTE)]
    summary = run(*events, drain_s=0)["summary"]
    assert (summary["fired"], summary["skipped"]) == (1, 1)


def test_a_refused_event_is_not_looked_at_for_duplicates(run):
    once = viewed(T0, "bob")
    assert run(once, once)["summary"]["refused_consent"] == 2


def test_the_models_learn_as_they_go(run):
    lines = []
    for number in range(40):
        at_ms, visitor = T0 + number * 2 * HOUR, f"v{number}"
        lines += abandoned(at_ms, visitor)
        if number % 2:
            lines.append(bought(at_ms + MINUTE, visitor))
    models = run(*lines, drain_s=7_200)["summary"]["models"]
    learnt = models["purchase_after_add"]
    assert learnt["examples"] == 40
    assert 0 <= learnt["roc_auc"] <= 1
    assert learnt["log_loss"] > 0
    assert models["purchase_after_exit"] == {"examples": 0, "roc_auc": None, "log_loss": None}


def test_a_score_is_what_the_model_had_learnt_by_then(run, monkeypatch):
    monkeypatch.setattr(replay, "LINES_PER_STEP", 1)
    lines = [line for n in range(4) for line in abandoned(T0 + n * 2 * HOUR, f"v{n}")]
    versions = [one["score"]["version"] for one in run(*lines)["triggers"]]
    assert versions == [0, 1, 2, 3]


def test_settings_count(run):
    short = Settings(
        holdout=HoldoutSettings(fraction=0.0),
        cart_abandonment=SECTIONS["cart_abandonment"](idle_s=60),
    )
    assert due(run(*abandoned(), settings=short)) == [T0 + MINUTE]
    nobody = Settings(holdout=HoldoutSettings(fraction=1.0))
    assert [one["reason"] for one in run(*abandoned(), settings=nobody)["decisions"]] == ["holdout"]


def test_it_ends_with_the_summary_in_one_line(tmp_path):
    events = tmp_path / "e.jsonl"
    events.write_bytes(b"".join(_line(line) + b"\n" for line in abandoned()))
    said = replay.run(str(events), tmp_path / "out", SETTINGS, DRAIN_S)
    assert said.startswith("events=2  applied=2  duplicates=0  ")
    assert "\n" not in said
    assert "models" not in said


# Steps


@given(events=shopping())
@SOME
def test_how_many_lines_make_a_step_changes_nothing_but_scores(events, tmp_path, monkeypatch):
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"".join(_line(one) + b"\n" for one in events))
    seen = []
    for lines in (1, 7, 1000):
        monkeypatch.setattr(replay, "LINES_PER_STEP", lines)
        replay.run(str(path), tmp_path / "out", SETTINGS, DRAIN_S)
        seen.append(_comparable(results(tmp_path / "out")))
    assert seen[0] == seen[1] == seen[2]


def _comparable(found):
    """Drop what batches may change: scores, the figures of learning, order between visitors."""
    summary = {k: v for k, v in found["summary"].items() if k not in {"seconds", "models"}}
    sets = {
        name: sorted(
            json.dumps({k: v for k, v in one.items() if k != "score"}, sort_keys=True)
            for one in found[name]
        )
        for name in OUTPUTS
    }
    return sets | {"summary": summary}


@given(events=shopping())
@SOME
def test_every_event_has_one_outcome_and_every_trigger_one_decision(events, tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"".join(_line(one) + b"\n" for one in [*events, b"?"]))
    replay.run(str(path), tmp_path / "out", SETTINGS, DRAIN_S)
    found = results(tmp_path / "out")
    summary = found["summary"]
    parts = ("applied", "duplicates", "refused_consent", "bots", "dead_letters")
    assert summary["events"] == sum(summary[part] for part in parts) == len(events) + 1
    assert summary["fired"] + summary["skipped"] == len(found["decisions"])
    fired = [one["trigger_id"] for one in found["decisions"] if one["outcome"] == "fired"]
    assert sorted(fired) == sorted(one["trigger_id"] for one in found["triggers"])
    assert len(set(fired)) == len(fired)


# What cannot be read or written


def _says(tmp_path, events, out=None):
    with pytest.raises(CartwakeError) as refused:
        replay.run(str(events), out or tmp_path / "out", SETTINGS, DRAIN_S)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_missing_file_is_named_and_nothing_is_written(tmp_path):
    assert "absent.jsonl" in _says(tmp_path, tmp_path / "absent.jsonl")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_file(tmp_path):
    assert str(tmp_path) in _says(tmp_path, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "e.jsonl").write_bytes(b"")
    (tmp_path / "taken").write_bytes(b"")
    assert "taken" in _says(tmp_path, tmp_path / "e.jsonl", tmp_path / "taken")


PACKED = gzip.compress(b"".join(_line(added(T0 + n)) + b"\n" for n in range(400)))


@pytest.mark.parametrize(
    "data",
    [b"no gzip at all", PACKED[:-9], PACKED[:60] + bytes(60) + PACKED[120:]],
    ids=["another format", "cut", "damaged"],
)
def test_a_compressed_file_that_cannot_be_read_is_named(tmp_path, data):
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(data)
    assert "e.jsonl.gz" in _says(tmp_path, path)
