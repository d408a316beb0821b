"""Why a trigger was fired, was not fired, or was not acted on: one vocabulary for all programs."""

from enum import StrEnum


class Reason(StrEnum):
    """The outcome of a decision or of a delivery.

    Decisions report the first reason that applies, in this order. `HOLDOUT` is the last of them,
    so that treated and held-out shoppers have passed exactly the same checks. The reasons after it
    arise only when a published trigger is delivered.
    """

    FIRED = "fired"
    NO_CONSENT = "no_consent"
    EXPIRED = "expired"
    CART_EMPTY = "cart_empty"
    CART_TOO_SMALL = "cart_too_small"
    CART_TOO_OLD = "cart_too_old"
    ALREADY_FIRED = "already_fired"
    COOLDOWN = "cooldown"
    DWELL_TOO_SHORT = "dwell_too_short"
    HOLDOUT = "holdout"
    CANCELLED = "cancelled"
    BOUGHT = "bought"
    CART_CHANGED = "cart_changed"
    NO_ADDRESS = "no_address"
    UNSUBSCRIBED = "unsubscribed"  # the person has, in another browser
    BOUNCED = "bounced"  # the person's address has refused mail for good
    TEMPLATE = "template"  # the message's template cannot be rendered
    GONE = "gone"  # the endpoint answered that it is gone for good
    DEFECT = "defect"  # our own code failed on it, each time it was tried
