"""Thresholds by which decisions are taken. Times are milliseconds, money is in minor units."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec import Struct

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DAY_S = 86_400
WEEK_S = 7 * DAY_S
YEAR_S = 365 * DAY_S

# Fixed by the contract, hence no settings.
LATENESS_MS = DAY_MS
FUTURE_MS = MINUTE_MS
TOMBSTONE_LIFE_MS = 30 * DAY_MS

# Ours: how long behaviour outlives the shopper's last event, and choices the last choice or event.
BEHAVIOUR_LIFE_MS = 180 * DAY_MS
CONSENT_LIFE_MS = 395 * DAY_MS


class Holdout(Struct, frozen=True):
    """The share of visitors, from 0 to 1, that is never messaged."""

    fraction: float = 0.05
    salt: str = "cartwake"


class Policy(Struct, frozen=True):
    """Everything that decisions depend on besides the visitor's own state.

    ``parameters`` are those of the kinds of trigger, by the kind's name; a kind without an entry
    has its defaults. ``gone_after_ms`` is how long after the last activity a visitor counts as
    gone: no marketing message is sent before.
    """

    parameters: dict[str, Struct] = {}
    session_idle_ms: int = 30 * MINUTE_MS
    gone_after_ms: int = 30 * MINUTE_MS
    horizon_ms: int = HOUR_MS
    holdout: Holdout = Holdout()


class Policies(Struct, frozen=True):
    """The policy of every tenant: its own, or else ``default``."""

    default: Policy = Policy()
    by_tenant: Mapping[str, Policy] = {}

    def of(self, tenant: str) -> Policy:
        """Return a tenant's policy."""
        return self.by_tenant.get(tenant, self.default)

    def digest(self) -> str:
        """Return a text that differs wherever any policy differs, or how long states are kept.

        Examples
        --------
        >>> Policies().digest() == Policies(Policy()).digest()
        True
        >>> Policies().digest() == Policies(Policy(session_idle_ms=1)).digest()
        False
        """
        lives_ms = (TOMBSTONE_LIFE_MS, BEHAVIOUR_LIFE_MS, CONSENT_LIFE_MS)
        data = msgspec.json.encode((self, lives_ms), order="deterministic")
        return blake2b(data, digest_size=16).hexdigest()
