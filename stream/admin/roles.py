"""The rights in Kafka that each role needs, compared with those of this user.

A role has the name of its command; ``deploy/kafka-acls.sh`` grants exactly these rights.
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
GRANT: Final = "deploy/kafka-acls.sh grants each role its rights"


class Role(NamedTuple):
    """The operations on topics, and on the workers' group, that a command needs."""

    topics: Mapping[str, tuple[str, ...]]
    group: str = ""


INPUTS: Final = tuple(TOPICS)
OUTPUTS: Final = (TRIGGERS, TRIGGER_CANCELS)
SENDER: Final = Role(
    {
        "Read": (*OUTPUTS, MESSAGE_FEEDBACK),
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
    "edge": Role({"Read": OUTPUTS, "Write": (*INPUTS, MESSAGE_FEEDBACK)}),
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


def check_rights(user: str, topics: Mapping[str, TopicMetadata], group: Group) -> Finding:
    """Check the rights of a user, as far as the broker reports them."""
    subject = "rights in Kafka"
    rights = {name: topic.allowed for name, topic in topics.items() if topic.allowed is not None}
    if not rights:
        return ok(subject, "the broker reports none")
    lacks = {name: list(_lacking(role, rights, group)) for name, role in ROLES.items()}
    fitting = [name for name, lacking in lacks.items() if not lacking]
    if fitting:
        return ok(subject, f"{user} has the rights of: {', '.join(fitting)}")
    nearest, lacking = min(lacks.items(), key=lambda one: len(one[1]))
    return fail(
        subject,
        f"{user} has the rights of no role; for {nearest} it lacks {', '.join(lacking)}",
        GRANT,
    )


def _lacking(role: Role, rights: Mapping[str, Allowed], group: Group) -> Iterator[str]:
    # A user with all rights would see the topic if it existed: what is missing is no right.
    unseen = EVERYTHING if all(allowed >= EVERYTHING for allowed in rights.values()) else Allowed()
    for operation, names in role.topics.items():
        for name in names:
            if operation not in rights.get(name, unseen):
                yield f"{operation} on {name}"
    is_forbidden = "authorization failed" in group.refused
    if role.group and (is_forbidden or (group.allowed and role.group not in group.allowed)):
        yield f"{role.group} on the group"
