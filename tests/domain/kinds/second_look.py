"""A throw-away kind: products that were looked at and not bought are worth a second look.

It exists to prove that a kind is one file and one row; no program knows it.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.events import OrderCompleted, Product, ProductViewed
from stream.domain.kinds import KINDS
from stream.domain.kinds.kind import NO_CANDIDATES, Candidate, Heard, Kind, Kinds, Refusals, Sample
from stream.domain.kinds.subject import MAX_PRODUCTS, ProductsSubject
from stream.domain.policy import DAY_S, SECOND_MS
from stream.domain.records import Trigger
from stream.domain.visitor import Behaviour


class SecondLookParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    wait_s: Annotated[int, Meta(ge=1, le=DAY_S, description="seconds after the last view")] = 60
    min_products: Annotated[int, Meta(ge=1, le=10, description="products looked at")] = 2


class SecondLookMemory(Struct, array_like=True):
    viewed_ms: int
    products: list[Product] = []


REFUSALS: Refusals[tuple[SecondLookMemory, SecondLookParameters]] = (
    (Reason.CART_TOO_SMALL, lambda s: len(s[0].products) < s[1].min_products),
)


def _hear_view(heard: Heard) -> Sequence[Candidate]:
    memory = SECOND_LOOK.memory_in(heard.behaviour) or SecondLookMemory(heard.at_ms)
    memory.viewed_ms = max(memory.viewed_ms, heard.at_ms)
    memory.products = [heard.event.product, *memory.products][:MAX_PRODUCTS]
    heard.behaviour.memory[SECOND_LOOK.name] = memory
    return NO_CANDIDATES


def _hear_order(heard: Heard) -> Sequence[Candidate]:
    _drop(heard.behaviour)
    return NO_CANDIDATES


def _due_ms(_: Behaviour, memory: SecondLookMemory, parameters: SecondLookParameters) -> int | None:
    return memory.viewed_ms + parameters.wait_s * SECOND_MS if memory.products else None


def _offer(
    _: Behaviour, memory: SecondLookMemory, parameters: SecondLookParameters, due_ms: int
) -> Sequence[Candidate]:
    return (
        Candidate(
            kind=SECOND_LOOK,
            identity=(due_ms,),
            why="looked",
            due_ms=due_ms,
            expires_ms=due_ms + DAY_S * SECOND_MS,
            subject=ProductsSubject(tuple(memory.products)),
            refusals=REFUSALS,
            situation=(memory, parameters),
        ),
    )


def _note(behaviour: Behaviour, candidate: Candidate, reason: Reason) -> None:
    _drop(behaviour)


def _drop(behaviour: Behaviour) -> None:
    memory = SECOND_LOOK.memory_in(behaviour)
    if memory is not None:
        memory.products = []


def _recheck(trigger: Trigger, behaviour: Behaviour) -> Reason | None:
    ordered_ms = behaviour.last_order_ms
    return Reason.BOUGHT if ordered_ms is not None and ordered_ms > trigger.due_at_ms else None


SECOND_LOOK: Final[Kind[SecondLookParameters, SecondLookMemory]] = Kind(
    name="second_look",
    class_="marketing",
    needs=("personalization", "marketing_sms"),
    description="products were looked at and not bought",
    parameters=SecondLookParameters,
    memory=SecondLookMemory,
    hears={ProductViewed: _hear_view, OrderCompleted: _hear_order},
    due_ms=_due_ms,
    offer=_offer,
    note=_note,
    drop=_drop,
    recheck=_recheck,
    samples=(Sample(0, ProductsSubject((Product("sencha"),))),),
)
WITH_SECOND_LOOK: Final = Kinds((*KINDS, SECOND_LOOK))
