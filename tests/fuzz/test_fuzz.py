"""Part of ``make fuzz``: some hostile inputs for each target, and all that once did harm."""

import pytest
from hypothesis import given, settings

from stream.adapters.wire.codec import decode
from stream.domain.topics import TYPE_OF
from tests.fuzz.campaign import CORPUS, hunt
from tests.fuzz.hostile import inputs
from tests.fuzz.targets import EVENTS, FIELDS, TARGETS, Target

KEPT = [(file.parent.name, file) for file in sorted(CORPUS.glob("*/*"))]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_hostile_input_does_harm(name):
    target = TARGETS[name]

    @settings(deadline=None, max_examples=60)
    @given(inputs(target.seeds))
    def check(data):
        target.check(data)

    check()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_good_inputs_do_no_harm(name):
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)


@pytest.mark.parametrize(("name", "file"), KEPT, ids=[f"{file.name}" for _, file in KEPT])
def test_what_once_did_harm_does_none(name, file):
    TARGETS[name].check(file.read_bytes())


def test_every_type_of_event_has_a_good_input():
    assert set(FIELDS) == set(TYPE_OF.values())
    assert all(decode(one) for one in EVENTS)


def test_a_planted_fault_is_found_and_kept(tmp_path):
    def check(data):
        assert b"\\ud800" not in data

    target = Target("planted", (b'{"name": "Mug", "price": 5}',), check)
    (found,) = hunt(target, seconds=60, seed=1, corpus=tmp_path)
    assert found.file.read_bytes() == found.data
    with pytest.raises(AssertionError):
        check(found.data)
    assert hunt(TARGETS["answer"], seconds=0.1, seed=1, corpus=tmp_path) == []
