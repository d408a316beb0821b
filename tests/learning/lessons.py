"""A shop's events become examples, in the order in which their labels become known.

The one rule: the domain's own fold decides what is predicted and what it is labelled; here is only
the least that has to be around it, so that a month is learnt without a broker or a store.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from stream.domain.consent import Choice
from stream.domain.context import FoldContext, ScoreFeatures
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.events import AnyEvent
from stream.domain.fold import apply
from stream.domain.kinds import REGISTRY
from stream.domain.policy import Policy
from stream.domain.records import Example
from stream.domain.visitor import Visitor, VisitorKey

END_OF_TIME_MS = 2**53
EVERYBODY = {"personalization": Choice("granted", 0)}


class Lessons:
    """Folds events on their own clock; ``everybody`` overrules what shoppers chose."""

    def __init__(self, score: ScoreFeatures, *, everybody: bool = False) -> None:
        self._score = score
        self._everybody = everybody
        self._policy = Policy()
        self._states: dict[VisitorKey, Visitor] = {}
        self._due: list[tuple[int, VisitorKey]] = []

    def examples(self, events: Iterable[dict[str, Any]]) -> Iterator[Example]:
        """Yield each example as soon as its label is known; learn it before taking the next."""
        for fields in events:
            if self._everybody and fields["type"] == "consent_updated":
                continue
            event = msgspec.convert(fields, AnyEvent)
            yield from self._pass_deadlines(event.at_ms)
            context = self._turn(VisitorKey(event.tenant, event.visitor), event.at_ms)
            apply(context, event, event.at_ms, bot=False)
            yield from self._end(context)
        yield from self._pass_deadlines(END_OF_TIME_MS)

    def _turn(self, who: VisitorKey, now_ms: int) -> FoldContext:
        if who not in self._states:
            self._states[who] = Visitor(consent=dict(EVERYBODY) if self._everybody else {})
        return FoldContext(who, self._states[who], self._policy, self._score, now_ms, [], REGISTRY)

    def _pass_deadlines(self, before_ms: int) -> Iterator[Example]:
        while self._due and self._due[0][0] < before_ms:
            due_ms, who = heapq.heappop(self._due)
            context = self._turn(who, due_ms)
            pass_deadlines(context, due_ms, None)
            yield from self._end(context)

    def _end(self, context: FoldContext) -> Iterator[Example]:
        due_ms = next_due_ms(context.state, self._policy, REGISTRY)
        if due_ms is not None:
            heapq.heappush(self._due, (due_ms, context.key))
        return (effect for effect in context.effects if isinstance(effect, Example))
