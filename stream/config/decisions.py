"""What decisions need beside the kinds' own parameters: sessions, models, holdout."""

from typing import Annotated

from stream.config.bounds import NOT_EMPTY, SECONDS, SHARE, WEEK
from stream.config.section import Section, means


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
