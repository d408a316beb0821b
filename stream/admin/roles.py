"""Which rights in Kafka each role needs, beside those that it has.

The one rule: a role is named for its command; ``deploy/kafka-acls.sh`` gives just these.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from stream.adapters.kafka.describe import OPERATIONS, Allowed, Group, TopicMetadata
from stream.adapters.kafka.topic_rules import RETENTION_DAYS
from stream.adapters.wire.outgoing import (
    DEAD_LETTERS,
    DECISIONS,
    TRAINING_EXAMPLES,
    TRIGGER_CANCELS,
    TRIGGERS,
)
from stream.admin.finding import Finding, fail, ok
from stream.domain.events import TOPICS
from stream.domain.feedback import MESSAGE_FEEDBACK

EVERYTHING: Final = Allowed(OPERATIONS)
GIVE: Final = "deploy/kafka-acls.sh gives each role what it needs"


class Role(NamedTuple):
    """What may be done with topics, by operation, and with the workers' group."""

    topics: Mapping[str, tuple[str, ...]]
    group: str = ""


INPUTS: Final = tuple(TOPICS)
HEARD: Final = (TRIGGERS, TRIGGER_CANCELS)
SENDER: Final = Role(
    {
        "Read": (*HEARD, MESSAGE_FEEDBACK),
        "Write": (MESSAGE_FEEDBACK,),
        "Describe": INPUTS,
    }
)
ROLES: Final[Mapping[str, Role]] = {
    "worker": Role(
        {
            "Read": (*INPUTS, TRAINING_EXAMPLES),
            "Write": (TRIGGERS, DECISIONS, TRIGGER_CANCELS, DEAD_LETTERS, TRAINING_EXAMPLES),
        },
        group="Read",
    ),
    "edge": Role({"Read": HEARD, "Write": (*INPUTS, MESSAGE_FEEDBACK)}),
    "emailer": SENDER,
    "webhooks": SENDER,
    "operator": Role(
        {
            "Describe": tuple(RETENTION_DAYS),
            "DescribeConfigs": tuple(RETENTION_DAYS),
            "Read": (DEAD_LETTERS,),
            "Write": INPUTS,
        },
        group="Describe",
    ),
}


def judge(user: str, told: Mapping[str, TopicMetadata], group: Group) -> Finding:
    """Judge what a user may do; what the broker does not tell is not missed."""
    what = "rights in Kafka"
    rights = {name: topic.allowed for name, topic in told.items() if topic.allowed is not None}
    if not rights:
        return ok(what, "told by topics, and none is told")
    lacks = {name: list(_lacking(role, rights, group)) for name, role in ROLES.items()}
    fitting = [name for name, lacking in lacks.items() if not lacking]
    if fitting:
        return ok(what, f"{user} may do what these need: {', '.join(fitting)}")
    nearest, lacking = min(lacks.items(), key=lambda one: len(one[1]))
    return fail(what, f"{user} fits no role; for {nearest} it lacks {', '.join(lacking)}", GIVE)


def _lacking(role: Role, rights: Mapping[str, Allowed], group: Group) -> Iterator[str]:
    # Somebody who may do everything does not see a topic because it is not there.
    unseen = EVERYTHING if all(allowed >= EVERYTHING for allowed in rights.values()) else Allowed()
    for operation, names in role.topics.items():
        for name in names:
            if operation not in rights.get(name, unseen):
                yield f"{operation} on {name}"
    is_refused = "authorization failed" in group.refused
    if role.group and (is_refused or (group.allowed and role.group not in group.allowed)):
        yield f"{role.group} on the group"
