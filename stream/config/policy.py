"""Makes the policy, and the tolerance of dead letters, from the settings."""

from stream.config.kinds import parameters_of
from stream.config.settings import Settings
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT
from stream.domain.policy import Holdout, Policies, Policy
from stream.shard.limit import Tolerance


def policy_of(settings: Settings) -> Policy:
    """Return the policy of these settings."""
    reminder = parameters_of(CART_ABANDONMENT, settings.of_kind(CART_ABANDONMENT.name))
    return Policy(
        parameters={
            kind.name: parameters_of(kind, settings.of_kind(kind.name)) for kind in REGISTRY.all
        },
        session_idle_ms=settings.session.idle_s * 1000,
        # As long as a reminder waits, so do the mails and posts that it causes.
        gone_after_ms=reminder.idle_s * 1000,
        horizon_ms=settings.learning.horizon_s * 1000,
        holdout=Holdout(fraction=settings.holdout.fraction, salt=settings.holdout.salt),
    )


def policies_of(settings: Settings) -> Policies:
    """Return the policies of all tenants: the same settings for each."""
    return Policies(policy_of(settings))


def tolerance_of(settings: Settings) -> Tolerance:
    """Return how many dead letters a shard may take by these settings."""
    return Tolerance(settings.dead_letters.max_in_a_row, settings.dead_letters.max_share)
