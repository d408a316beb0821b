"""The policy and the tolerance that settings ask for: seconds become milliseconds, no more."""

from stream.config.settings import Settings
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT, CartAbandonmentParameters
from stream.domain.kinds.exit_intent import EXIT_INTENT, ExitIntentParameters
from stream.domain.policy import Holdout, Policies, Policy
from stream.shard.limit import Tolerance


def policy_of(settings: Settings) -> Policy:
    """Return the policy of these settings."""
    cart, leaving = settings.cart_abandonment, settings.exit_intent
    return Policy(
        parameters={
            CART_ABANDONMENT.name: CartAbandonmentParameters(
                idle_s=cart.idle_s,
                steps_s=cart.steps_s,
                min_value_minor=cart.min_value_minor,
                max_age_s=cart.max_age_s,
            ),
            EXIT_INTENT.name: ExitIntentParameters(
                min_dwell_ms=leaving.min_dwell_ms, cooldown_s=leaving.cooldown_s
            ),
        },
        session_idle_ms=settings.session.idle_s * 1000,
        # As long as a reminder waits, so do the mails and posts that it causes.
        gone_after_ms=cart.idle_s * 1000,
        horizon_ms=settings.learning.horizon_s * 1000,
        holdout=Holdout(fraction=settings.holdout.fraction, salt=settings.holdout.salt),
    )


def policies_of(settings: Settings) -> Policies:
    """Return every tenant's policy: the settings hold for all."""
    return Policies(policy_of(settings))


def tolerance_of(settings: Settings) -> Tolerance:
    """Return how many dead letters these settings let a shard take."""
    return Tolerance(settings.dead_letters.max_in_a_row, settings.dead_letters.max_share)
