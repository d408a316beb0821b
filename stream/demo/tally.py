"""The demo's counts: from the published records and from the worker's metrics.

A record that is published again counts once, as every consumer should count it.
"""

from collections import Counter, deque
from datetime import datetime
from statistics import quantiles
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from stream.demo.embedded import ReadRecord
from stream.domain.records import Decision, Trigger
from stream.domain.topics import DEAD_LETTERS, DECISIONS, LANES, TRIGGER_CANCELS, TRIGGERS

READ_TOPICS = (TRIGGERS, DECISIONS, TRIGGER_CANCELS, DEAD_LETTERS)
# Parts of the summary, and the outcomes of the worker's counter that belong to each.
OUTCOMES = {
    "applied": ("applied", "stale"),
    "duplicates": ("duplicate",),
    "refused_consent": ("refused_consent",),
    "bots": ("bot",),
    "dead_letters": ("dead_letter",),
}
RATE_WINDOW_S = 5.0

_trigger = msgspec.json.Decoder(Trigger)
_decision = msgspec.json.Decoder(Decision)


class Moment(NamedTuple):
    """How many records had been sent and published at a moment."""

    at_s: float
    sent: int
    published: int


class Tally:
    """Everything that the view shows."""

    def __init__(self) -> None:
        # By the note of a record, see ``traffic.Note``.
        self.sent: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.last_triggers: deque[Trigger] = deque(maxlen=8)
        self.lags_ms: list[float] = []
        self.armed = self.repeated = 0
        self._known: set[tuple[str, bytes]] = set()
        self._moments: deque[Moment] = deque([Moment(0.0, 0, 0)])

    def take(self, message: ReadRecord) -> Trigger | None:
        """Count a published record; return it if it is a new trigger."""
        identity = message.topic, message.headers.get("ce_id", b"")
        if identity in self._known:
            self.repeated += 1
            return None
        self._known.add(identity)
        if message.topic == TRIGGERS:
            return self._take_trigger(message)
        if message.topic == DECISIONS:
            decision = _decision.decode(message.value)
            self.decisions[decision.kind, decision.outcome, decision.reason] += 1
        elif message.topic == TRIGGER_CANCELS:
            self.cancelled[msgspec.json.decode(message.value)["reason"]] += 1
        else:
            self.dead_letters[message.headers.get("reason", b"unknown").decode()] += 1
        return None

    def _take_trigger(self, message: ReadRecord) -> Trigger:
        trigger = _trigger.decode(message.value)
        self.last_triggers.append(trigger)
        due, decided = (
            datetime.fromisoformat(message.headers[name].decode())
            for name in ("ce_time", "ce_recordedtime")
        )
        self.lags_ms.append((decided - due).total_seconds() * 1000)
        return trigger

    def read_page(self, page: str) -> None:
        """Take the counts from the worker's metrics."""
        outcomes: Counter[str] = Counter()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == "cartwake_events_total" and sample.labels["topic"] in LANES:
                    outcomes[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == "cartwake_timers_armed":
                    self.armed = int(sample.value)
        self.outcomes = outcomes

    def note_moment(self, at_s: float) -> None:
        """Keep the current counts, for the rates."""
        self._moments.append(Moment(at_s, self.sent.total(), len(self._known)))
        while self._moments[1].at_s <= at_s - RATE_WINDOW_S:
            self._moments.popleft()

    @property
    def rates(self) -> tuple[float, float]:
        """Sent and published records per second, lately."""
        first, last = self._moments[0], self._moments[-1]
        took_s = max(last.at_s - first.at_s, 0.001)
        return (last.sent - first.sent) / took_s, (last.published - first.published) / took_s

    @property
    def counted(self) -> int:
        """How many records the worker has counted, with any outcome."""
        return self.outcomes.total()

    def parts(self) -> dict[str, int]:
        """Return the number of records for each outcome."""
        return {
            part: sum(self.outcomes[outcome] for outcome in outcomes)
            for part, outcomes in OUTCOMES.items()
        }

    def count(self, outcome: str) -> int:
        """Return how many decisions had this outcome, ``fired`` or ``skipped``."""
        return sum(n for (_, each, _), n in self.decisions.items() if each == outcome)

    def lag_ms(self) -> tuple[float, float] | None:
        """Return median and 99th percentile of decided minus due; None before any trigger."""
        if not self.lags_ms:
            return None
        cuts = quantiles([*self.lags_ms, self.lags_ms[-1]], n=100, method="inclusive")
        return cuts[49], cuts[98]
