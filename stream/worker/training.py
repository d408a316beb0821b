"""The trainer: one worker learns from labelled examples and stores versioned models.

Models and the offset up to which they have learnt are stored together, so that learning is as
repeatable as folding.
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import Protocol

from aiokafka import ConsumerRecord

from stream.adapters.wire.codec import Rejected, decode_example
from stream.domain.predictions import MODELS
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import NewerSnapshot, Snapshot, UnreadableSnapshot
from stream.learning.trainer import Trainer
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)

# Learnt without a pause for anything else that the worker does: some 10 ms.
AT_ONCE = 200
# Examples received and not learnt: above it fetching stops for a while.
FULL = 5_000


class Models(Protocol):
    """Where snapshots are kept."""

    async def load(self) -> Snapshot | None:
        """Return the newest snapshot; None if there is none.

        Raises
        ------
        NewerSnapshot
            It was made by a newer version.
        UnreadableSnapshot
            It was made by another version; the models are to be learnt again from their topic.
        """

    async def offset(self) -> int | None:
        """Return the newest snapshot's offset, readable or not, or None."""

    async def save(self, snapshot: Snapshot, learnt_from: int | None) -> bool:
        """Store a snapshot over the one at offset ``learnt_from``; False where it is another."""


class Training:
    """The examples' owner: what to learn next, and what has been stored of it."""

    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics
        self._trainer: Trainer | None = None
        self._stored: int | None = None
        self._waiting: list[ConsumerRecord] = []
        self._is_learning = False

    @property
    def is_owned(self) -> bool:
        """Say whether this worker is the trainer."""
        return self._trainer is not None

    @property
    def is_full(self) -> bool:
        """Say whether there is enough to learn from at hand."""
        return len(self._waiting) > FULL

    async def claim(self, start: int) -> int:
        """Go on from the stored models, and return the offset to read from."""
        self._waiting = []
        self._trainer = snapshot = None
        try:
            snapshot = await self._models.load()
            self._stored = snapshot.offset if snapshot else None
        except NewerSnapshot as why:
            said = (
                "A newer version has written the models: %s. Upgrade this worker: it does not train"
            )
            log.error(said, why)  # noqa: TRY400 - the line says all of it
            return start
        except UnreadableSnapshot as why:
            log.warning("The stored models cannot be read (%s); learning again from the topic", why)
            self._stored = await self._models.offset()
        self._trainer = Trainer(snapshot)
        return max(self._trainer.offset, start)

    def accept(self, records: Sequence[ConsumerRecord]) -> None:
        """Add examples to learn from."""
        if self._trainer is not None:
            self._waiting += records

    def take(self) -> list[ConsumerRecord]:
        """Return the examples to learn from next; none while others are being learnt."""
        if self._is_learning or not self._waiting:
            return []
        taken, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        self._is_learning = True
        return taken

    async def learn(self, records: Sequence[ConsumerRecord]) -> None:
        """Learn from examples in order; a record from elsewhere teaches nothing."""
        trainer = self._trainer
        self._is_learning = False
        if trainer is None:
            return
        for record in records:
            try:
                trainer.learn(decode_example(record.value), record.offset)
            except Rejected as why:
                where = {"topic": record.topic, "partition": 0, "offset": record.offset}
                said = "Offset %d is no training example: %s"
                log.warning(said, record.offset, why.detail, extra=where)
        for model, report in trainer.report().items():
            if report.log_loss is not None:
                self._metrics.model_log_loss.labels(model).set(report.log_loss)
            if report.roc_auc is not None:
                self._metrics.model_roc_auc.labels(model).set(report.roc_auc)

    async def save(self) -> None:
        """Store what has been learnt since the last time, unless another trainer has."""
        trainer = self._trainer
        if trainer is None or trainer.offset == (self._stored or 0):
            return
        snapshot = trainer.snapshot()
        if await self._models.save(snapshot, self._stored):
            self._stored = snapshot.offset
            return
        known = await self._models.offset()
        if (known or 0) < (self._stored or 0):  # the store lost them; here they are still known
            log.warning("The stored models were lost; storing them again")
            self._stored = known
        else:
            log.warning("Another worker trains the models; this one stops")
            self.forget()

    def forget(self) -> None:
        """Learn nothing any more, and tell nothing: figures that no longer move would mislead."""
        self._trainer = None
        self._metrics.model_log_loss.clear()
        self._metrics.model_roc_auc.clear()
        self._waiting = []
        self._is_learning = False


class Serving:
    """Keeps a worker's scorer at the newest stored models, without stopping."""

    def __init__(self, models: Models, scorer: ModelScorer, metrics: Metrics) -> None:
        self._models = models
        self._scorer = scorer
        self._metrics = metrics
        self._offset: int | None = None
        for model in MODELS:
            metrics.model_version.labels(model).set(0)

    async def refresh(self) -> None:
        """Adopt a newer snapshot, if there is one; what cannot be read is learnt again soon."""
        offset = await self._models.offset()
        if offset == self._offset:
            return
        self._offset = offset
        with contextlib.suppress(UnreadableSnapshot):
            snapshot = await self._models.load()
            if snapshot is not None:
                self._scorer.adopt(snapshot)
                for model, version in snapshot.versions.items():
                    self._metrics.model_version.labels(model).set(version)
