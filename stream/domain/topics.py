"""All topics that Cartwake reads or writes, one row each. No other module spells a topic's name.

The rows of lanes (the topics that shards read) stand in merge order: of records with equal
timestamps, the one whose topic stands first is folded first.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from stream.domain.events import CART_EVENT_TYPES, CONSENT_EVENT_TYPES, PAGE_EVENT_TYPES, Event
from stream.domain.feedback import FEEDBACK_TYPES
from stream.domain.records import Decision, Example, Trigger, TriggerCancel

CONSENT_EVENTS: Final = "consent-events"
VISITOR_FACTS: Final = "visitor-facts"
MESSAGE_FEEDBACK: Final = "message-feedback"
CART_EVENTS: Final = "cart-events"
PAGE_VIEWS: Final = "page-views"
TRIGGERS: Final = "triggers"
DECISIONS: Final = "decisions"
TRIGGER_CANCELS: Final = "trigger-cancels"
DEAD_LETTERS: Final = "dead-letters"
TRAINING_EXAMPLES: Final = "training-examples"

# A storefront is the shop's own producer; each other role is named for its command.
Role = Literal["worker", "storefront", "edge", "emailer", "webhooks", "operator"]


class Topic(Struct, frozen=True, kw_only=True):
    """One topic: what is in it, which roles may read and write it, how long Kafka keeps it.

    ``types`` are the types of its values: events (told apart by ``type``), or the one type of
    record that Cartwake writes there; dead letters have any bytes, so none. ``ce_type`` is the
    CloudEvents type of records that Cartwake writes; events have none.
    """

    name: str
    about: str
    types: tuple[type[Struct], ...]
    key: Literal["visitor", "model", "original"] = "visitor"
    writers: tuple[Role, ...]
    readers: tuple[Role, ...]
    retention_days: int
    is_lane: bool = False
    has_one_partition: bool = False
    ce_type: str = ""

    @property
    def is_personal(self) -> bool:
        """Say whether its records are about persons."""
        return self.key != "model"


_PRODUCERS: Final[tuple[Role, ...]] = ("storefront", "edge", "operator")
_SENDERS: Final[tuple[Role, ...]] = ("emailer", "webhooks")
# From lanes a lost Redis is rebuilt, and a worker that stood still catches up; they hold personal
# data, so no longer than an outage over a week of holidays needs. Topics that others read: as long.
_A_WEEK: Final = 7
# Somebody has to notice dead letters, mend the producer and send them back. Not beyond the 30 days
# for which an erasure is remembered, less the day by which an event may be late and the day that a
# segment spans: an erased visitor's records must be gone while they would be refused.
_FOUR_WEEKS: Final = 28

_ROWS: Final = (
    Topic(
        name=CONSENT_EVENTS,
        about="What shoppers allow, and whom to forget.",
        types=CONSENT_EVENT_TYPES,
        writers=_PRODUCERS,
        readers=("worker", "emailer"),
        retention_days=_A_WEEK,
        is_lane=True,
    ),
    Topic(
        name=VISITOR_FACTS,
        about="What Cartwake's own parts tell the shards. Internal: no producer may write it.",
        types=(),
        writers=("worker", "operator"),
        readers=("worker",),
        retention_days=_A_WEEK,
        is_lane=True,
    ),
    Topic(
        name=MESSAGE_FEEDBACK,
        about="What became of triggers: actions on the page, messages, their cancels.",
        types=FEEDBACK_TYPES,
        writers=("edge", *_SENDERS, "operator"),
        readers=("worker", *_SENDERS),
        # Programs that measure what actions do read it in time.
        retention_days=_FOUR_WEEKS,
        is_lane=True,
    ),
    Topic(
        name=CART_EVENTS,
        about="What shoppers put into their carts and buy.",
        types=CART_EVENT_TYPES,
        writers=_PRODUCERS,
        readers=("worker",),
        retention_days=_A_WEEK,
        is_lane=True,
    ),
    Topic(
        name=PAGE_VIEWS,
        about="What shoppers look at, and when they seem about to leave.",
        types=PAGE_EVENT_TYPES,
        writers=_PRODUCERS,
        readers=("worker",),
        retention_days=_A_WEEK,
        is_lane=True,
    ),
    Topic(
        name=TRIGGERS,
        about="Do this now. At least once; the same trigger_id and body each time.",
        types=(Trigger,),
        writers=("worker",),
        readers=("edge", *_SENDERS),
        retention_days=_A_WEEK,
        ce_type="cartwake.trigger.v1",
    ),
    Topic(
        name=DECISIONS,
        about="Every decision, fired or skipped, with its reason.",
        types=(Decision,),
        writers=("worker",),
        readers=(),
        retention_days=_A_WEEK,
        ce_type="cartwake.decision.v1",
    ),
    Topic(
        name=TRIGGER_CANCELS,
        about="A published trigger must not be acted on any more.",
        types=(TriggerCancel,),
        writers=("worker",),
        readers=("edge", *_SENDERS),
        retention_days=_A_WEEK,
        ce_type="cartwake.trigger-cancel.v1",
    ),
    Topic(
        name=DEAD_LETTERS,
        about="Records that can never be processed: original key and value, and why.",
        types=(),
        key="original",
        writers=("worker",),
        readers=("operator",),
        retention_days=_FOUR_WEEKS,
        ce_type="cartwake.dead-letter.v1",
    ),
    Topic(
        name=TRAINING_EXAMPLES,
        about="Labelled predictions, from which Cartwake's own trainer learns.",
        types=(Example,),
        key="model",
        writers=("worker",),
        readers=("worker",),
        # They identify nobody; a new recipe learns from them again.
        retention_days=90,
        # The trainer learns from one log in one order.
        has_one_partition=True,
        ce_type="cartwake.training-example.v1",
    ),
)

TOPICS: Final[Mapping[str, Topic]] = {row.name: row for row in _ROWS}
LANES: Final[Mapping[str, Topic]] = {name: row for name, row in TOPICS.items() if row.is_lane}

TOPIC_OF: Final[Mapping[type[Event], str]] = {
    kind: name for name, row in TOPICS.items() for kind in row.types if issubclass(kind, Event)
}
TYPE_OF: Final[Mapping[type[Event], str]] = {
    kind: str(kind.__struct_config__.tag) for kind in TOPIC_OF
}


def written_by(*roles: Role) -> tuple[str, ...]:
    """Return the topics that any of these roles may write."""
    return tuple(name for name, row in TOPICS.items() if not {*roles}.isdisjoint(row.writers))


def read_by(*roles: Role) -> tuple[str, ...]:
    """Return the topics that any of these roles may read."""
    return tuple(name for name, row in TOPICS.items() if not {*roles}.isdisjoint(row.readers))


def event_types(topics: Iterable[str]) -> tuple[type[Event], ...]:
    """Return the types of events in these topics."""
    wanted = frozenset(topics)
    return tuple(kind for kind, topic in TOPIC_OF.items() if topic in wanted)
