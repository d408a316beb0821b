"""What a step's report means for the metrics. No visitor is ever a label."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream.adapters.redis.connection import Memory
from stream.domain.context import FoldOutcome
from stream.domain.kinds import REGISTRY
from stream.domain.records import Decision, Trigger
from stream.shard.clock import Fact
from stream.shard.folding import Batch, Report
from stream.shard.ports import DeadLetter, Ownership
from stream.shard.visit import FoldDefect
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)


def observe_step(metrics: Metrics, batch: Batch[Any], report: Report, acknowledged_ms: int) -> None:
    """Count what a step did; it was committed and acknowledged at ``acknowledged_ms``."""
    for (topic, kind, outcome), count in report.events.items():
        if outcome == FoldOutcome.WITHOUT_CART:
            metrics.exits_without_cart.inc(count)
            outcome = FoldOutcome.APPLIED.value  # noqa: PLW2901 - it is one of these
        metrics.events.labels(topic, kind, outcome).inc(count)
        if outcome == "refused_consent":
            metrics.consent_refused.labels("personalization").inc(count)
        elif outcome == "stale":
            metrics.consent_stale.inc(count)
    _observe_inputs(metrics, batch.inputs, acknowledged_ms)
    _observe_effects(metrics, batch, report)
    for defect in report.defects:
        metrics.defects.count(defect.what)
    for letter in report.dead_letters:
        metrics.dead_letters.labels(letter.reason).inc()
    for record_ms in report.answered_ms:
        metrics.trigger_end_to_end_seconds.observe(max(0, acknowledged_ms - record_ms) / 1000)


def observe_memory(metrics: Metrics, memory: Mapping[str, Memory]) -> None:
    """Tell each Redis server's memory; the last values stay where none answers."""
    for server, one in memory.items():
        metrics.redis_memory_bytes.labels(server).set(one.used)
        metrics.redis_memory_limit_bytes.labels(server).set(one.limit)


def log_defects(defects: Iterable[FoldDefect], number: int) -> None:
    """Log where in the code folding has failed; never an exception's words: they may quote data."""
    for defect in defects:
        log.error(
            "%s in one %s of shard %d; the others go on\n%s",
            *(type(defect.error).__name__, defect.what.replace("_", "-"), number),
            "".join(traceback.format_tb(defect.error.__traceback__)),
            extra={"shard": number},
        )


def observe_owners(metrics: Metrics, owners: Sequence[tuple[Ownership, float]]) -> None:
    """Tell what the owned shards hold; beside each, for how long it has not moved, in seconds.

    A step commits, then publishes all of it: what is pending is as old as the step at most.
    """
    metrics.shards_owned.set(len(owners))
    metrics.timers_armed.set(sum(owner.armed for owner, _ in owners))
    metrics.outbox_entries.set(sum(owner.pending for owner, _ in owners))
    metrics.shard_still_seconds.set(max((still_s for _, still_s in owners), default=0))
    unsent = (still_s for owner, still_s in owners if owner.pending)
    metrics.outbox_oldest_seconds.set(max(unsent, default=0))


def _observe_inputs(
    metrics: Metrics, inputs: Sequence[Fact[Any] | DeadLetter], acknowledged_ms: int
) -> None:
    if not inputs:
        return
    metrics.batch_records.observe(len(inputs))
    facts = [one for one in inputs if isinstance(one, Fact)]
    metrics.events_clamped.inc(sum(fact.at_ms != fact.event.at_ms for fact in facts))
    if facts:  # the oldest record tells how far behind the batch was
        oldest_ms = min(fact.record_ms for fact in facts)
        metrics.event_lag_seconds.observe(max(0, acknowledged_ms - oldest_ms) / 1000)


def _observe_effects(metrics: Metrics, batch: Batch[Any], report: Report) -> None:
    decisions: Counter[tuple[str, str, str]] = Counter()
    for effect in report.effects:
        match effect:
            case Decision():
                decisions[effect.kind, effect.outcome, effect.reason] += 1
            case Trigger():
                late_ms = max(0, batch.now_ms - effect.due_at_ms)
                metrics.trigger_fire_lag_seconds.observe(late_ms / 1000)
            case _:
                pass
    for (kind, outcome, reason), count in decisions.items():
        metrics.decisions.labels(kind, outcome, reason).inc(count)
        if reason == "no_consent":  # the last need is what only this kind asks for
            metrics.consent_refused.labels(REGISTRY.needs(kind)[-1]).inc(count)
