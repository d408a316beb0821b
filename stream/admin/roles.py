"""The rights in Kafka that each role needs, compared with those of this user.

A role has the name of its command; ``deploy/kafka-acls.sh`` grants exactly these rights.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from stream.adapters.kafka.describe import OPERATIONS, Allowed, Group, TopicMetadata
from stream.admin.finding import Finding, fail, ok
from stream.domain.topics import LANES, TOPICS, Role, read_by, written_by

EVERYTHING: Final = Allowed(OPERATIONS)
GRANT: Final = "deploy/kafka-acls.sh grants each role its rights"


class Rights(NamedTuple):
    """The operations on topics, and on the workers' group, that a command needs."""

    topics: Mapping[str, tuple[str, ...]]
    group: str = ""


def _rights(role: Role, group: str = "", **more: Iterable[str]) -> Rights:
    topics = {"Read": read_by(role), "Write": written_by(role)}
    return Rights(topics | {operation: tuple(names) for operation, names in more.items()}, group)


# A storefront is left out: `doctor` does not run as one.
ROLES: Final[Mapping[Role, Rights]] = {
    "worker": _rights("worker", "Read"),
    "edge": _rights("edge"),
    # They ask how far the lanes reach, without reading them.
    "emailer": _rights("emailer", Describe=LANES),
    "webhooks": _rights("webhooks", Describe=LANES),
    "operator": _rights("operator", "Describe", Describe=TOPICS, DescribeConfigs=TOPICS),
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


def _lacking(role: Rights, rights: Mapping[str, Allowed], group: Group) -> Iterator[str]:
    # A user with all rights would see the topic if it existed: what is missing is no right.
    unseen = EVERYTHING if all(allowed >= EVERYTHING for allowed in rights.values()) else Allowed()
    for operation, names in role.topics.items():
        for name in names:
            if operation not in rights.get(name, unseen):
                yield f"{operation} on {name}"
    is_forbidden = "authorization failed" in group.refused
    if role.group and (is_forbidden or (group.allowed and role.group not in group.allowed)):
        yield f"{role.group} on the group"
