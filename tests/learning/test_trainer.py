"""The trainer: scored before learnt, learnt once, the same in every run."""

import math
import os
import subprocess
import sys

import pytest

from stream.domain.predictions import AFTER_ADD, AFTER_EXIT, MODELS
from stream.learning.recipes import PRIORS
from stream.learning.snapshot import encode
from stream.learning.trainer import Trainer
from tests.learning.samples import example, examples


def trained(some, trainer=None):
    trainer = trainer or Trainer()
    for offset, one in enumerate(some):
        trainer.learn(one, offset)
    return trainer


def test_the_first_example_is_judged_by_the_prior():
    trainer = trained([example({"now.pages": 1.0}, label=True)])
    report = trainer.report()[AFTER_ADD]
    assert report.log_loss == pytest.approx(-math.log(PRIORS[AFTER_ADD]))
    assert trainer.model(AFTER_ADD).probability({"now.pages": 1.0}) > PRIORS[AFTER_ADD]


def test_an_example_is_scored_before_it_is_learnt():
    """Each has a feature of its own: nobody could know its label from those before."""
    some = [example({f"only {n}": 10.0}, label=n % 2 == 0) for n in range(200)]
    assert trained(some).report()[AFTER_ADD].roc_auc < 0.55


def test_what_can_be_learnt_is_learnt():
    report = trained(examples(2_000)).report()[AFTER_ADD]
    assert report.roc_auc > 0.75
    assert report.log_loss < 0.6
    assert report.brier < 0.2
    assert report.version == report.examples == 2_000


def test_offsets_that_were_read_before_change_nothing():
    some = examples(20)
    trainer = trained(some)
    before = encode(trainer.snapshot())
    trained(some[:19], trainer)
    assert trainer.offset == 20
    assert encode(trainer.snapshot()) == before


def test_offsets_may_have_gaps():
    trainer = Trainer()
    for offset in (3, 7):
        trainer.learn(example({}, label=False), offset)
    assert trainer.offset == 8
    assert trainer.report()[AFTER_ADD].examples == 2


def test_each_model_learns_its_own_examples():
    report = trained([*examples(30), *examples(20, model=AFTER_EXIT)]).report()
    assert {name: one.examples for name, one in report.items()} == {AFTER_ADD: 30, AFTER_EXIT: 20}


def test_an_example_of_an_unknown_model_is_passed_over():
    trainer = trained([example({"a": 1.0}, label=True, model="from_the_future")])
    assert trainer.offset == 1
    assert trainer.model("from_the_future") is None
    assert all(report.examples == 0 for report in trainer.report().values())


@pytest.mark.parametrize("absurd", [math.nan, math.inf, -math.inf, 1e300])
def test_an_absurd_feature_spoils_no_model(absurd):
    trainer = trained([example({"a": absurd}, label=True)])
    assert trainer.offset == 1
    assert trainer.report()[AFTER_ADD].examples == 0
    assert trainer.model(AFTER_ADD).probability({"a": 1.0}) == PRIORS[AFTER_ADD]


def test_before_any_example_there_is_nothing_to_report():
    report = Trainer().report()
    assert set(report) == set(MODELS)
    assert report[AFTER_ADD].roc_auc is None
    assert report[AFTER_ADD].version == 0


@pytest.mark.parametrize("cut", [0, 1, 150, 299, 300])
def test_stopping_and_resuming_changes_nothing(cut):
    some = examples(300)
    resumed = Trainer(trained(some[:cut]).snapshot())
    for offset, one in enumerate(some[cut:], cut):
        resumed.learn(one, offset)
    straight = trained(some)
    assert encode(resumed.snapshot()) == encode(straight.snapshot())
    assert resumed.report() == straight.report()


def test_a_snapshot_does_not_learn_on():
    trainer = trained(examples(50))
    snapshot = trainer.snapshot()
    before = encode(snapshot)
    for offset, one in enumerate(examples(50, seed=8), 50):
        trainer.learn(one, offset)
    resumed = Trainer(snapshot)
    resumed.learn(example({"now.pages": 1.0}, label=True), 50)
    assert encode(snapshot) == before


def test_the_same_examples_give_the_same_model_in_every_process():
    script = (
        "import sys\n"
        "from stream.learning.snapshot import encode\n"
        "from tests.learning.samples import examples\n"
        "from tests.learning.test_trainer import trained\n"
        "sys.stdout.buffer.write(encode(trained(examples(300)).snapshot()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {encode(trained(examples(300)).snapshot())}
