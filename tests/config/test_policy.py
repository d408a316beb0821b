import pytest
from msgspec.structs import replace

from stream.config.policy import policy_of, tolerance_of
from stream.config.settings import SECTIONS, Settings
from stream.domain.kinds import KINDS
from stream.domain.kinds.cart_abandonment import CartAbandonmentParameters
from stream.domain.kinds.exit_intent import ExitIntentParameters
from stream.domain.policy import Holdout, Policy
from stream.shard.limit import Tolerance


def test_every_setting_of_a_policy_arrives():
    settings = Settings(
        cart_abandonment=SECTIONS["cart_abandonment"](
            idle_s=1, steps_s=(0, 20, 300), min_value_minor=4000, max_age_s=50_000
        ),
        exit_intent=SECTIONS["exit_intent"](min_dwell_ms=6, cooldown_s=7),
        session=SECTIONS["session"](idle_s=8),
        learning=SECTIONS["learning"](horizon_s=9),
        holdout=SECTIONS["holdout"](fraction=0.25, salt="autumn"),
    )
    assert policy_of(settings) == Policy(
        parameters={
            "cart_abandonment": CartAbandonmentParameters(
                idle_s=1, steps_s=(0, 20, 300), min_value_minor=4000, max_age_s=50_000
            ),
            "exit_intent": ExitIntentParameters(min_dwell_ms=6, cooldown_s=7),
        },
        session_idle_ms=8_000,
        gone_after_ms=1_000,
        horizon_ms=9_000,
        holdout=Holdout(fraction=0.25, salt="autumn"),
    )


def test_the_settings_defaults_are_the_policys_defaults():
    policy = policy_of(Settings())
    assert policy.parameters == {kind.name: kind.parameters_in(Policy()) for kind in KINDS}
    assert replace(policy, parameters={}) == Policy()


def test_what_a_shard_tolerates_comes_from_the_settings_with_the_same_defaults():
    dead_letters = SECTIONS["dead_letters"](max_in_a_row=7, max_share=0.25)
    assert tolerance_of(Settings(dead_letters=dead_letters)) == Tolerance(7, 0.25)
    assert tolerance_of(Settings()) == Tolerance()


# What is no policy: where things are, and how a worker runs.
ELSEWHERE = {"emailer", "webhooks", "kafka", "redis", "worker", "dead_letters", "edge"}


@pytest.mark.parametrize(
    "setting",
    [
        (section, name, default)
        for section, cls in SECTIONS.items()
        if section not in ELSEWHERE
        for name, default in cls()
    ],
    ids=lambda it: ".".join(it[:2]),
)
def test_no_setting_is_forgotten(setting):
    section, name, default = setting
    changed = {int: 1, float: 0.5, str: "other", tuple: (0, 1)}[type(default)]
    settings = Settings(**{section: SECTIONS[section](**{name: changed})})
    assert policy_of(settings) != policy_of(Settings())
