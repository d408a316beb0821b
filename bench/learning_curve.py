"""How well the models learn a real shop's month, what that costs, and what else was tried.

Needs the data that ``tests/rig/merch_store.py`` reads; draws ``docs/learning-curve.svg``::

    python -m bench.learning_curve
"""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from math import log
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib import pyplot as plt
from msgspec import Struct
from river import forest, linear_model, optim, preprocessing

from stream.domain.events import AnyEvent, Event, ExitSignalled
from stream.domain.features import Profile, features, observe
from stream.domain.policy import DAY_MS, MINUTE_MS
from stream.domain.predictions import AFTER_ADD
from stream.domain.records import Example
from stream.domain.session import Session, advance
from stream.learning.progress import TrainingProgress
from stream.learning.recipes import make_model
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import encode
from stream.learning.trainer import Trainer
from tests.learning.lessons import Lessons
from tests.rig import merch_store

PLOT = Path(__file__).parents[1] / "docs" / "learning-curve.svg"
AUGUST_MS = 1_470_009_600_000
POINT_EVERY = 25
TIMED_EVENTS = 100_000
IDLE_MS = 30 * MINUTE_MS
WARM_UP = 100  # examples that are not drawn yet
COLORS = ("#1b6ca8", "#d1603d")


class Course(Struct):
    """A month learnt, and for the first model how well that went up to each moment.

    ``idle_loss`` is the log loss of always believing the base rate, known beforehand.
    """

    name: str
    trainer: Trainer
    served: dict[str, TrainingProgress]
    examples: list[Example]
    days: list[float] = []
    roc_auc: list[float] = []
    log_loss: list[float] = []
    idle_loss: list[float] = []


def main() -> None:
    """Learn the month under the converter's consent rule and with everybody's, and report."""
    print(f"models after a month of {merch_store.FILE}")
    courses = [
        learn_month("consent as chosen", everybody=False),
        learn_month("everybody consents", everybody=True),
    ]
    for course in courses:
        report(course)
    draw(courses)
    compare(courses[0])
    time_events()
    time_model(courses[0])


def learn_month(name: str, *, everybody: bool) -> Course:
    """Fold the month; learn each example as soon as its label is known."""
    trainer = Trainer()
    course = Course(name, trainer, {model: TrainingProgress() for model in trainer.learners}, [])
    lessons = Lessons(ModelScorer.following(trainer), everybody=everybody)
    for offset, example in enumerate(lessons.examples(told(name))):
        course.served[example.model].add(example.predicted, label=example.label)
        trainer.learn(example, offset)
        if example.model == AFTER_ADD:
            note(course, example)
    return course


def told(name: str) -> Iterator[dict[str, Any]]:
    """Yield the month's events; on a terminal say how far, because it takes a minute or two."""
    day = 0
    for event in merch_store.events():
        if sys.stderr.isatty() and (event["at_ms"] - AUGUST_MS) // DAY_MS >= day:
            day = (event["at_ms"] - AUGUST_MS) // DAY_MS + 1
            print(f"\r{name}: day {day}", end="", file=sys.stderr)
        yield event
    if sys.stderr.isatty():
        print(file=sys.stderr)


def note(course: Course, example: Example) -> None:
    """Remember the example, and now and then how well the model has done so far."""
    course.examples.append(example)
    count = len(course.examples)
    if count < WARM_UP or count % POINT_EVERY:
        return
    so_far = course.trainer.report()[AFTER_ADD]
    course.days.append(1 + (example.at_ms - AUGUST_MS) / DAY_MS)
    course.roc_auc.append(so_far.roc_auc or 0.5)
    course.log_loss.append(so_far.log_loss or 0.0)
    rate = sum(example.label for example in course.examples) / count
    course.idle_loss.append(-rate * log(rate) - (1 - rate) * log(1 - rate))


def report(course: Course) -> None:
    """Print per model the progressive figures, and those of the scores as they were served."""
    print(f"\n{course.name}")
    print(f"{'':20} examples  base rate  {'learnt: AUC':>12} log loss   Brier", end="")
    print(f"  {'served: AUC':>12} log loss")
    for name, model in course.trainer.report().items():
        served = course.served[name]
        base_rate = sum(served.positives) / served.examples
        print(f"{name:20} {model.examples:8} {base_rate:10.4f}  {model.roc_auc:12.4f}", end="")
        print(f" {model.log_loss:8.4f} {model.brier:7.4f}", end="")
        print(f"  {served.roc_auc:12.4f} {served.log_loss:8.4f}")
    print(f"snapshot: {len(encode(course.trainer.snapshot()))} bytes")


def draw(courses: list[Course]) -> None:
    """Draw AUC and log loss up to each moment of the month; the same picture every time."""
    mpl.rcParams.update({"svg.hashsalt": "cartwake", "svg.fonttype": "none"})
    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(8, 6), layout="constrained")
    for course, color in zip(courses, COLORS, strict=True):
        month = course.trainer.report()[AFTER_ADD]
        label = f"{course.name}: {month.roc_auc:.3f} ({month.examples:,} examples)"
        above.plot(course.days, course.roc_auc, color=color, label=label)
        label = f"{course.name}: {month.log_loss:.3f}"
        below.plot(course.days, course.log_loss, color=color, label=label)
        below.plot(course.days, course.idle_loss, color=color, linestyle=":")
    above.axhline(0.70, color="grey", linestyle=":", label="aim: 0.70")
    above.set(title="Purchase within the hour after the first product_added of a session")
    above.set(ylabel="ROC-AUC so far (progressive)", ylim=(0.5, 0.85))
    below.plot([], [], color="grey", linestyle=":", label="always the base rate")
    below.set(
        ylabel="log loss so far (progressive)", xlabel="day of August 2016 (UTC)", xlim=(1, 33)
    )
    for axes in (above, below):
        axes.legend(loc="lower right", frameon=False)
        axes.grid(alpha=0.3)
    figure.savefig(PLOT, metadata={"Date": None})
    print(f"\ndrawn: {PLOT.name}")


def compare(course: Course) -> None:
    """Teach other recipes the same examples in the same order, scored before learnt."""
    print(f"\nother recipes, {course.name}: {'AUC':>8} log loss  us per example")
    ours, trees = make_model(AFTER_ADD), forest.ARFClassifier(n_models=10, seed=1)
    sgd = logistic(optim.SGD(optim.schedulers.InverseScaling(0.1, 0.3)))
    ftrl = logistic(optim.FTRLProximal(alpha=0.1))
    scaled = preprocessing.StandardScaler() | logistic(optim.AdaGrad(0.03))
    mixture: tuple[Any, ...] = (make_model(AFTER_ADD), forest.ARFClassifier(n_models=10, seed=1))
    for name, models in {
        "logistic, AdaGrad (ours)": (ours,),
        "logistic, SGD with a decaying rate": (sgd,),
        "logistic, FTRL": (ftrl,),
        "logistic, AdaGrad, features scaled": (scaled,),
        "adaptive random forest, 10 trees": (trees,),
        "mean of ours and the forest": mixture,
    }.items():
        began, progress = time.process_time(), TrainingProgress()
        for example in course.examples:
            answers = [model.predict_proba_one(example.features) for model in models]
            mean = sum(answer.get(True, 0.2) for answer in answers) / len(answers)
            progress.add(mean, label=example.label)
            for model in models:
                model.learn_one(example.features, example.label)
        spent_us = (time.process_time() - began) / len(course.examples) * 1e6
        print(f"{name:38} {progress.roc_auc:.4f} {progress.log_loss:9.4f} {spent_us:10.0f}")


def logistic(optimizer: optim.base.Optimizer) -> linear_model.LogisticRegression:
    """Return a logistic regression that begins with the same prior as ours."""
    prior = make_model(AFTER_ADD).intercept
    return linear_model.LogisticRegression(optimizer, intercept_init=prior)


def time_events() -> None:
    """Print what counting costs per event, and telling features per prediction."""
    events: list[Event] = [
        msgspec.convert(fields, AnyEvent)
        for fields in islice(merch_store.events(), TIMED_EVENTS)
        if fields["type"] != "consent_updated"
    ]
    visits = list(in_visits(events))
    began = time.process_time()
    for profile, event, _, is_new in visits:
        observe(profile, event, event.at_ms, new_session=is_new)
    observed = time.process_time()
    for profile, event, session, _ in visits:
        features(profile, event, event.at_ms, session)
    ended = time.process_time()
    each = 1e6 / len(visits)
    profiles = {id(profile): profile for profile, *_ in visits}.values()
    sizes = sorted(len(msgspec.msgpack.encode(profile)) for profile in profiles)
    print(
        f"\nobserve {(observed - began) * each:.1f} us, features {(ended - observed) * each:.1f} us"
    )
    print(f"profile: median {sizes[len(sizes) // 2]} bytes, largest {sizes[-1]}")


def in_visits(events: list[Event]) -> Iterator[tuple[Profile, Event, Session, bool]]:
    """Yield each event with its shopper's profile and session, and whether it began that."""
    known: dict[str, tuple[Profile, Session]] = {}
    for event in events:
        profile, before = known.get(event.visitor, (Profile(), None))
        ends = isinstance(event, ExitSignalled) and before is not None
        session = before if ends else advance(before, event.at_ms, IDLE_MS, IDLE_MS)
        is_new = before is None or before.started_ms != session.started_ms
        known[event.visitor] = (profile, session)
        yield profile, event, session, is_new


def time_model(course: Course) -> None:
    """Print what a score and a lesson cost."""
    scorer = ModelScorer.following(course.trainer)
    began = time.process_time()
    for example in course.examples:
        scorer(AFTER_ADD, example.features)
    scored = time.process_time()
    for offset, example in enumerate(course.examples, course.trainer.offset):
        course.trainer.learn(example, offset)
    ended = time.process_time()
    each = 1e6 / len(course.examples)
    print(f"score {(scored - began) * each:.1f} us, learn {(ended - scored) * each:.1f} us")


if __name__ == "__main__":
    main()
