"""Thresholds by which decisions are taken. Times are milliseconds, money is in minor units."""

from msgspec import Struct

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# Fixed by the contract, hence no settings.
LATENESS_MS = DAY_MS
FUTURE_MS = MINUTE_MS
CART_REMINDER_LIFE_MS = DAY_MS
EXIT_OFFER_LIFE_MS = 10_000
TOMBSTONE_LIFE_MS = 30 * DAY_MS

# Ours: how long behaviour outlives the shopper's last event.
BEHAVIOUR_LIFE_MS = 180 * DAY_MS


class CartAbandonment(Struct, frozen=True):
    """When an idle cart is mentioned, and when it is mentioned again."""

    idle_ms: int = 30 * MINUTE_MS
    steps_ms: tuple[int, ...] = (0, DAY_MS, 3 * DAY_MS)
    min_value_minor: int = 0
    max_age_ms: int = 3 * DAY_MS


class ExitIntent(Struct, frozen=True):
    """How long a shopper must have looked, and how long we keep quiet afterwards."""

    min_dwell_ms: int = 4_000
    cooldown_ms: int = 7 * DAY_MS


class Holdout(Struct, frozen=True):
    """The share of visitors, from 0 to 1, that is never messaged."""

    fraction: float = 0.05
    salt: str = "cartwake"


class Policy(Struct, frozen=True):
    """Everything that decisions depend on besides the visitor's own state."""

    cart_abandonment: CartAbandonment = CartAbandonment()
    exit_intent: ExitIntent = ExitIntent()
    session_idle_ms: int = 30 * MINUTE_MS
    horizon_ms: int = HOUR_MS
    holdout: Holdout = Holdout()
