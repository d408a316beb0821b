"""What decides whether a shopper is addressed: the kinds of trigger, sessions, models, holdout."""

from typing import Annotated

from stream.config.bounds import DAY_S, NOT_EMPTY, SECONDS, SHARE, STEPS, WEEK, YEAR_S, whole
from stream.config.section import Section, means


class CartAbandonmentSettings(Section):
    """When an abandoned cart is worth a reminder."""

    idle_s: Annotated[int, WEEK, means("time without activity before the first reminder")] = 1800
    steps_s: Annotated[
        tuple[int, ...], STEPS, means("reminders, counted from the first one on")
    ] = (0, 86_400, 259_200)
    min_value_minor: Annotated[
        int, whole(0, 2**53, "minor units"), means("smallest cart worth a reminder")
    ] = 0
    max_age_s: Annotated[int, SECONDS, means("oldest last change of the cart")] = 259_200


class ExitIntentSettings(Section):
    """When a leaving shopper is worth an offer."""

    min_dwell_ms: Annotated[
        int, whole(0, DAY_S * 1000, "milliseconds"), means("shortest stay on the page")
    ] = 4000
    cooldown_s: Annotated[
        int, whole(0, YEAR_S, "seconds"), means("least time between two offers to one visitor")
    ] = 604_800


class SessionSettings(Section):
    """When a visit is over."""

    idle_s: Annotated[int, WEEK, means("a longer time without activity ends a session")] = 1800


class LearningSettings(Section):
    """What the models predict."""

    horizon_s: Annotated[
        int, SECONDS, means('an order within this time is the label "bought" of a prediction')
    ] = 3600


class HoldoutSettings(Section):
    """The share of visitors who get no message, so that the others can be compared with them."""

    fraction: Annotated[
        float, SHARE, means("share of visitors who get no message; 0 turns it off")
    ] = 0.05
    salt: Annotated[str, NOT_EMPTY, means("another salt draws other visitors")] = "cartwake"
