"""States that the last release stored, byte by byte, read by this one.

The bytes were written by the code of that release and are never written anew.
"""

import json
from pathlib import Path

import msgspec
import pytest

from stream.adapters.wire.codec import UnreadableState, decode_state, encode_state
from stream.adapters.wire.state_format_1 import Behaviour1
from stream.domain.kinds import KINDS
from stream.domain.visitor import VisitorKey
from tests.adapters.wire.stories import STORIES, goes_on
from tests.domain.build import Shopper, World

# Of an exit signal with an empty cart that release decided and learnt; this one only counts it.
QUIET = {
    "Decision exit_intent skipped cart_empty ccd5f68bebbc17feddbc8508a83992fe",
    "Example c7cc652bf1389a33616b19abcf903ee6",
}
STORED = json.loads((Path(__file__).parent / "states_format_1.json").read_text())


def state_of(name):
    """Return a stored state as this version reads it, with all that the kinds remember."""
    return remembered(decode_state(bytes.fromhex(STORED[name]["state"])))


def remembered(state):
    for kind in KINDS if state.behaviour is not None else ():
        kind.memory_in(state.behaviour)
    return state


def shopper_of(name):
    ann = Shopper(world=World(), who=VisitorKey("shop", "ann"))
    ann.world.states[ann.who] = state_of(name)
    ann.world.clock_ms = STORED[name]["clock_ms"]
    return ann


def test_every_story_is_stored():
    assert list(STORED) == list(STORIES)


@pytest.mark.parametrize("name", STORED)
def test_a_state_of_the_last_release_is_read_as_what_this_one_would_have_made(name):
    assert state_of(name) == STORIES[name]().state


@pytest.mark.parametrize("name", STORED)
def test_its_next_deadline_is_the_one_that_the_last_release_computed(name):
    assert shopper_of(name).next_due_ms == STORED[name]["next_due_ms"]


@pytest.mark.parametrize("name", STORED)
def test_what_comes_of_it_is_what_came_of_it_in_the_last_release(name):
    then = STORED[name]["then"]
    if "cart_empty" in then[0]:
        then = [line for line in then if line not in QUIET]
    assert goes_on(shopper_of(name)) == then
    assert goes_on(STORIES[name]()) == then


def test_each_field_of_behaviour_is_filled_in_some_of_the_states():
    empty = msgspec.msgpack.decode(msgspec.msgpack.encode(Behaviour1(0)))
    behaviours = [
        msgspec.msgpack.decode(bytes.fromhex(one["state"])[1:])[3] for one in STORED.values()
    ]
    filled = {
        number
        for behaviour in behaviours
        for number, field in enumerate(behaviour or ())
        if field != empty[number]
    }
    assert filled == set(range(len(empty)))


@pytest.mark.parametrize("name", STORED)
def test_it_is_stored_again_in_todays_format(name):
    data = encode_state(state_of(name))
    assert data[0] == 2
    assert remembered(decode_state(data)) == state_of(name)


def test_a_cut_state_of_the_last_release_is_refused():
    data = bytes.fromhex(STORED["is_reminded"]["state"])
    for end in range(1, len(data)):
        with pytest.raises(UnreadableState):
            decode_state(data[:end])
