"""What a kind gets for its one file and one row: all that loops over the registry."""

import msgspec
import pytest
from msgspec.structs import replace

from stream.adapters.wire.codec import decode_state, encode_record, encode_state
from stream.adapters.wire.contract import definitions
from stream.delivery.recheck import recheck
from stream.domain.campaign.reasons import Reason
from stream.domain.events import ProductViewed
from stream.domain.kinds import KIND_OF, REGISTRY
from stream.domain.kinds.kind import Kind, Kinds
from stream.domain.records import Decision, Trigger, TriggerCancel
from stream.emailer.samples import samples
from tests.domain.build import (
    DAY,
    EVERYBODY,
    IDLE,
    MINUTE,
    POLICY,
    World,
    a_shopper,
    product,
    with_parameters,
)
from tests.domain.kinds.second_look import SECOND_LOOK, WITH_SECOND_LOOK, SecondLookParameters

PURPOSES = ("personalization", "marketing_email", "marketing_sms")


def looking(policy=POLICY, **more):
    """Return a shopper who has looked at two products, the last time after a minute."""
    ann = a_shopper(policy, world=World(policy, kinds=WITH_SECOND_LOOK, **more))
    ann.grants(*PURPOSES, at=0)
    ann.does(ProductViewed, 1, product=product("p1"), id="first")
    ann.does(ProductViewed, MINUTE, product=product("p2"), id="second")
    return ann


def test_no_program_knows_it():
    assert SECOND_LOOK.name not in KIND_OF


def test_it_fires_with_its_products_and_no_cart():
    ann = looking()
    assert ann.next_due_ms == 2 * MINUTE
    ann.waits(2 * MINUTE)
    (trigger,), (decision,) = ann.triggers, ann.decisions
    assert (trigger.kind, trigger.class_, trigger.reason) == ("second_look", "marketing", "looked")
    assert (trigger.cart, trigger.order) == (None, None)
    assert trigger.products == [product("p2"), product("p1")]
    assert decision.trigger_id == trigger.trigger_id
    assert b'"cart"' not in encode_record(trigger)


def test_other_products_are_another_trigger():
    ids = set()
    for name in ("p2", "p2", "p3"):
        ann = looking()
        ann.does(ProductViewed, MINUTE, product=product(name), id=f"third {name}")
        ann.waits(DAY)
        ids.add(ann.triggers[0].trigger_id)
    assert len(ids) == 2


def test_its_own_refusal_names_the_reason_and_holdout_comes_last():
    few = with_parameters(POLICY, SECOND_LOOK, min_products=3)
    for policy, reason in [
        (few, "cart_too_small"),
        (replace(few, holdout=EVERYBODY), "cart_too_small"),
        (replace(POLICY, holdout=EVERYBODY), "holdout"),
    ]:
        ann = looking(policy)
        ann.waits(DAY)
        assert ann.reasons == [reason]


def test_its_parameters_are_those_of_the_policy_or_its_defaults():
    later = with_parameters(POLICY, SECOND_LOOK, wait_s=120)
    assert looking(later).next_due_ms == 3 * MINUTE
    assert SECOND_LOOK.parameters_in(POLICY) == SecondLookParameters(wait_s=60, min_products=2)


@pytest.mark.parametrize("fields", [{"wait_s": 0}, {"wait_s": 86_401}, {"wait": 5}])
def test_parameters_beyond_their_bounds_and_unknown_ones_are_refused(fields):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, SECOND_LOOK.parameters)


def test_an_order_drops_what_is_pending():
    ann = looking()
    ann.orders(at=MINUTE + 1)
    ann.waits(DAY)
    assert ann.decisions == []


@pytest.mark.parametrize(
    ("purpose", "kinds"),
    [("marketing_sms", ["second_look"]), ("marketing_email", []), ("ads", [])],
)
def test_a_refusal_of_a_purpose_cancels_and_drops_what_needs_it(purpose, kinds):
    ann = looking()
    ann.waits(2 * MINUTE)
    ann.does(ProductViewed, 3 * MINUTE, product=product("p1"), id="third")
    ann.does(ProductViewed, 3 * MINUTE, product=product("p2"), id="fourth")
    ann.refuses(purpose, at=3 * MINUTE + 1)
    assert [cancel.kind for cancel in ann.cancels] == kinds
    ann.waits(DAY)
    assert len(ann.decisions) == (1 if kinds else 2)


def test_a_refusal_of_personalization_deletes_what_it_remembers():
    ann = looking()
    ann.refuses("personalization", at=2 * MINUTE - 1)
    ann.waits(DAY)
    assert (ann.behaviour, ann.decisions) == (None, [])


def test_candidates_of_one_moment_are_decided_together_in_the_order_of_the_registry():
    wait = with_parameters(POLICY, SECOND_LOOK, wait_s=IDLE // 1000)
    for kinds in (WITH_SECOND_LOOK, Kinds((SECOND_LOOK, *WITH_SECOND_LOOK.all[:-1]))):
        ann = a_shopper(wait, world=World(wait, kinds=kinds))
        ann.grants(*PURPOSES, at=0)
        ann.does(ProductViewed, 1, product=product("p1"))
        ann.does(ProductViewed, 1, product=product("p2"))
        ann.adds(at=1)
        ann.waits(1 + IDLE)
        timed = [kind.name for kind in kinds.all if kind.name in kinds.timed]
        assert [one.kind for one in ann.decisions] == timed
        assert [one.kind for one in ann.triggers] == timed


def test_what_it_remembers_survives_a_store_and_a_version_that_does_not_know_it():
    ann = looking()
    other = World(POLICY, kinds=REGISTRY)
    other.states = {ann.who: decode_state(encode_state(ann.state))}
    visitor = a_shopper(world=other)  # the other version reads a grant, and then more
    visitor.views(at=MINUTE + 1)
    visitor.adds(at=MINUTE + 2)
    visitor.removes(at=MINUTE + 3)
    ann.world.states = {ann.who: decode_state(encode_state(other.states[ann.who]))}
    ann.waits(2 * MINUTE)
    assert [trigger.products for trigger in ann.triggers] == [[product("p2"), product("p1")]]


def test_a_version_that_does_not_know_it_cancels_it_with_any_purpose():
    ann = looking()
    ann.waits(2 * MINUTE)
    ann.world.kinds = REGISTRY
    ann.refuses("marketing_email", at=3 * MINUTE)
    assert [cancel.kind for cancel in ann.cancels] == ["second_look"]


def test_its_recheck_is_asked_right_before_sending():
    ann = looking()
    ann.waits(2 * MINUTE)

    def said():
        return recheck(ann.triggers[0], ann.state, 3 * MINUTE, WITH_SECOND_LOOK)

    assert said() is None
    ann.orders(at=2 * MINUTE + 1)
    assert said() is Reason.BOUGHT
    ann.refuses("marketing_sms", at=2 * MINUTE + 2)
    assert said() is Reason.NO_CONSENT


def test_schemas_and_previews_know_it():
    parts = definitions([Trigger, Decision, TriggerCancel], "#", WITH_SECOND_LOOK)
    for name in ("Trigger", "Decision", "TriggerCancel"):
        kind = parts[name]["properties"]["kind"]
        assert kind["enum"] == ["cart_abandonment", "exit_intent", "second_look"]
        assert "second_look: products were looked at and not bought" in kind["description"]
    shown = [trigger for trigger, _ in samples(WITH_SECOND_LOOK) if trigger.kind == "second_look"]
    assert [[one.id for one in trigger.products] for trigger in shown] == [["sencha"]]


def test_two_kinds_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        Kinds((SECOND_LOOK, SECOND_LOOK))


def test_a_kind_that_is_due_and_offers_nothing_is_an_error_and_no_endless_loop():
    silent = Kind(
        name="silent",
        class_="onsite",
        needs=("personalization",),
        description="never offers",
        parameters=SecondLookParameters,
        memory=SECOND_LOOK.memory,
        hears=SECOND_LOOK.hears,
        due_ms=SECOND_LOOK.due_ms,
        offer=lambda behaviour, memory, parameters, due_ms: (),
    )
    ann = looking()
    ann.behaviour.memory["silent"] = SECOND_LOOK.memory_in(ann.behaviour)
    ann.world.kinds = Kinds((silent,))
    with pytest.raises(RuntimeError, match="silent is due and offers nothing"):
        ann.waits(DAY)
