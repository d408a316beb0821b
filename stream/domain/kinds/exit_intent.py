"""Exit intent: the visitor is about to leave with something in the cart. Decided at once.

A signal with an empty cart is not heard here: the fold counts it, and nothing else.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.events import ExitSignalled
from stream.domain.kinds.kind import NO_CANDIDATES, Candidate, Heard, Kind, Refusals
from stream.domain.kinds.subject import CartSubject
from stream.domain.policy import DAY_S, SECOND_MS, YEAR_S
from stream.domain.visitor import Behaviour

NAME: Final = "exit_intent"
LIFE_MS: Final = 10 * SECOND_MS
MAX_EVIDENCE: Final = 20


class ExitIntentParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a leaving visitor is worth an action."""

    min_dwell_ms: Annotated[
        int,
        Meta(ge=0, le=DAY_S * SECOND_MS, description="least time spent on the page, milliseconds"),
    ] = 4_000
    cooldown_s: Annotated[
        int, Meta(ge=0, le=YEAR_S, description="least time between two actions, seconds")
    ] = 7 * DAY_S


class ExitIntentMemory(Struct, array_like=True, gc=False):
    """When the last action was fired, and the start of the session it was fired in."""

    fired_ms: int | None = None
    session_ms: int | None = None


class ExitSituation(Struct):
    """What an action is decided on."""

    behaviour: Behaviour
    memory: ExitIntentMemory
    parameters: ExitIntentParameters
    signal: ExitSignalled
    at_ms: int

    @property
    def fired_in_this_session(self) -> bool:
        """Return whether an action was fired in this session."""
        session = self.behaviour.session
        return session is not None and self.memory.session_ms == session.started_ms

    @property
    def is_cooling_down(self) -> bool:
        """Return whether the last action is too recent."""
        last_ms = self.memory.fired_ms
        return last_ms is not None and self.at_ms - last_ms < self.parameters.cooldown_s * SECOND_MS


REFUSALS: Refusals[ExitSituation] = (
    (Reason.ALREADY_FIRED, lambda s: s.fired_in_this_session),
    (Reason.COOLDOWN, lambda s: s.is_cooling_down),
    (Reason.DWELL_TOO_SHORT, lambda s: s.signal.dwell_ms < s.parameters.min_dwell_ms),
)


def _hear_signal(heard: Heard) -> Sequence[Candidate]:
    behaviour, signal, at_ms = heard.behaviour, heard.event, heard.at_ms
    cart = behaviour.cart
    if cart is None or behaviour.session is None:  # of history alone: nobody is on the page yet
        return NO_CANDIDATES
    situation = ExitSituation(
        behaviour,
        EXIT_INTENT.memory_in(behaviour) or ExitIntentMemory(),
        EXIT_INTENT.parameters_in(heard.context.policy),
        signal,
        at_ms,
    )
    return (
        Candidate(
            kind=EXIT_INTENT,
            identity=(signal.id,),
            why=signal.signal,
            due_ms=at_ms,
            expires_ms=at_ms + LIFE_MS,
            evidence=[*cart.evidence[1 - MAX_EVIDENCE :], signal.id],
            subject=CartSubject(cart),
            refusals=REFUSALS,
            situation=situation,
        ),
    )


def _note(behaviour: Behaviour, candidate: Candidate, reason: Reason) -> None:
    if reason is Reason.FIRED and behaviour.session is not None:
        memory = EXIT_INTENT.remember(behaviour)
        memory.fired_ms = candidate.due_ms
        memory.session_ms = behaviour.session.started_ms


EXIT_INTENT: Final[Kind[ExitIntentParameters, ExitIntentMemory]] = Kind(
    name=NAME,
    class_="onsite",
    needs=("personalization",),
    description="a visitor is about to leave",
    parameters=ExitIntentParameters,
    memory=ExitIntentMemory,
    hears={ExitSignalled: _hear_signal},
    note=_note,
)
