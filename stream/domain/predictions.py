"""Predictions a visitor's state carries until their label is known.

The label is "bought within the horizon": an order says yes, the horizon's passing says no.
"""

from stream.domain.context import FoldContext
from stream.domain.events import Event
from stream.domain.features import features
from stream.domain.ids import make_id
from stream.domain.records import Example
from stream.domain.visitor import Behaviour, Prediction

AFTER_ADD = "purchase_after_add"
AFTER_EXIT = "purchase_after_exit"
MODELS = (AFTER_ADD, AFTER_EXIT)
MAX_PENDING = 8


def predict(
    context: FoldContext, behaviour: Behaviour, model: str, event: Event, at_ms: int
) -> None:
    """Score the visitor as known now, and wait for the label; a full waiting list waits no more.

    Not for an event older than the last order: the features would know of what came after it.
    """
    if behaviour.last_order_ms is not None and at_ms < behaviour.last_order_ms:
        return
    known = features(behaviour.profile, event, at_ms, behaviour.session)
    score = context.score(model, known)
    if score is None:
        return
    behaviour.score = score
    if len(behaviour.predictions) < MAX_PENDING:
        example_id = make_id("example", model, *context.key, event.id)
        behaviour.predictions.append(
            Prediction(example_id, model, score.version, score.value, at_ms, known)
        )


def label_by_order(context: FoldContext, behaviour: Behaviour, order_ms: int) -> None:
    """Label what an order at ``order_ms`` answers with yes."""
    horizon_ms = context.policy.horizon_ms
    answered = [p for p in behaviour.predictions if 0 <= order_ms - p.at_ms <= horizon_ms]
    _label(context, behaviour, answered, label=True)


def label_by_silence(context: FoldContext, behaviour: Behaviour, due_ms: int) -> None:
    """Label what the horizon's passing at ``due_ms`` answers with no."""
    silent = [p for p in behaviour.predictions if p.at_ms + context.policy.horizon_ms <= due_ms]
    _label(context, behaviour, silent, label=False)


def label_due_ms(behaviour: Behaviour, horizon_ms: int) -> int | None:
    """Return when the oldest prediction is answered by silence."""
    asked_ms = [prediction.at_ms for prediction in behaviour.predictions]
    return min(asked_ms) + horizon_ms if asked_ms else None


def _label(
    context: FoldContext, behaviour: Behaviour, known: list[Prediction], *, label: bool
) -> None:
    behaviour.predictions = [p for p in behaviour.predictions if p not in known]
    context.effects.extend(
        Example(
            example_id=prediction.example_id,
            model=prediction.model,
            features=prediction.features,
            label=label,
            predicted=prediction.value,
            version=prediction.version,
            at_ms=prediction.at_ms,
        )
        for prediction in known
    )
