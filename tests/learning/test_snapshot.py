"""Snapshots: read back whole, refused where they are not ours, and never a way to run code."""

import math
import pickle
from pathlib import Path

import msgspec
import pytest
import river
from msgspec.structs import replace

from stream.domain.predictions import AFTER_ADD, AFTER_EXIT
from stream.learning.snapshot import (
    FORMAT,
    RECIPE,
    NewerSnapshot,
    UnreadableSnapshot,
    decode,
    encode,
)
from tests.learning.samples import examples
from tests.learning.test_trainer import trained


@pytest.fixture
def snapshot():
    return trained(examples(40)).snapshot()


def with_state(snapshot, **changes):
    state = replace(snapshot.models[AFTER_ADD], **changes)
    return replace(snapshot, models={**snapshot.models, AFTER_ADD: state})


def test_what_is_encoded_is_decoded(snapshot):
    assert decode(encode(snapshot)) == snapshot


def test_a_snapshot_says_what_it_is_made_with_and_how_far_it_has_read(snapshot):
    assert (snapshot.format, snapshot.recipe) == (FORMAT, RECIPE)
    assert snapshot.river == river.__version__
    assert snapshot.offset == 40
    assert snapshot.versions == {AFTER_ADD: 40, AFTER_EXIT: 0}


def test_a_snapshot_of_another_river_is_read(snapshot):
    assert decode(encode(replace(snapshot, river="0.1"))).offset == 40


@pytest.mark.parametrize("foreign", [{"recipe": "forest-3"}, {"format": FORMAT + 1}])
def test_another_recipe_or_format_is_refused_by_name(snapshot, foreign):
    data = encode(replace(snapshot, **foreign))
    with pytest.raises(UnreadableSnapshot, match=str(next(iter(foreign.values())))):
        decode(data)


def test_another_recipe_may_look_quite_different():
    data = msgspec.msgpack.encode({"format": FORMAT, "recipe": "forest-3", "trees": [1, 2]})
    with pytest.raises(UnreadableSnapshot, match="forest-3"):
        decode(data)


def test_every_truncation_is_refused(snapshot):
    data = encode(snapshot)
    for length in range(0, len(data), 37):
        with pytest.raises(UnreadableSnapshot):
            decode(data[:length])


@pytest.mark.parametrize("junk", [b"", b"\x00", b"not a snapshot", b"\xa1\xff", b"{}", b"\x81" * 9])
def test_junk_is_refused(junk):
    with pytest.raises(UnreadableSnapshot):
        decode(junk)


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1e30])
def test_weights_that_cannot_have_been_learnt_are_refused(snapshot, weight):
    for spoilt in (
        with_state(snapshot, weights={"a": weight}),
        with_state(snapshot, squares={"a": weight}),
        with_state(snapshot, intercept=weight),
    ):
        with pytest.raises(UnreadableSnapshot):
            decode(encode(spoilt))


def test_figures_with_missing_bins_are_refused(snapshot):
    progress = replace(snapshot.models[AFTER_ADD].progress, positives=[1])
    with pytest.raises(UnreadableSnapshot):
        decode(encode(with_state(snapshot, progress=progress)))


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_bytes_that_would_run_code_when_unpickled_run_none(snapshot, tmp_path):
    trap = tmp_path / "sprung"
    hostile = pickle.dumps(Hostile(trap))
    for data in (
        hostile,
        msgspec.msgpack.encode({"format": FORMAT, "recipe": RECIPE, "models": hostile}),
    ):
        with pytest.raises(UnreadableSnapshot):
            decode(data)
    assert not trap.exists()
    pickle.loads(hostile)  # noqa: S301 - the trap itself works
    assert trap.exists()


def test_a_snapshot_of_a_newer_version_is_told_from_one_that_is_damaged():
    newer = msgspec.msgpack.encode({"format": 2, "recipe": RECIPE, "what": "nobody knows"})
    with pytest.raises(NewerSnapshot, match="they have format 2, this version reads 1"):
        decode(newer)
