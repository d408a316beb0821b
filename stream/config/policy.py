"""The policy and the tolerance that settings ask for: seconds become milliseconds, no more."""

from stream.config.settings import Settings
from stream.domain.policy import CartAbandonment, ExitIntent, Holdout, Policy
from stream.shard.limit import Tolerance


def policy_of(settings: Settings) -> Policy:
    """Return the policy of these settings."""
    cart, leaving = settings.cart_abandonment, settings.exit_intent
    return Policy(
        cart_abandonment=CartAbandonment(
            idle_ms=cart.idle_s * 1000,
            steps_ms=tuple(step_s * 1000 for step_s in cart.steps_s),
            min_value_minor=cart.min_value_minor,
            max_age_ms=cart.max_age_s * 1000,
        ),
        exit_intent=ExitIntent(
            min_dwell_ms=leaving.min_dwell_ms, cooldown_ms=leaving.cooldown_s * 1000
        ),
        session_idle_ms=settings.session.idle_s * 1000,
        horizon_ms=settings.learning.horizon_s * 1000,
        holdout=Holdout(fraction=settings.holdout.fraction, salt=settings.holdout.salt),
    )


def tolerance_of(settings: Settings) -> Tolerance:
    """Return how many dead letters these settings let a shard take."""
    return Tolerance(settings.dead_letters.max_in_a_row, settings.dead_letters.max_share)
