"""Whether a user's rights in Kafka are enough, by table."""

import pytest

from stream.adapters.kafka.describe import Group, TopicMetadata
from stream.admin.finding import Severity
from stream.admin.roles import ROLES, check_rights
from tests.admin import healthy

GRANTED = Group("Stable", (), frozenset({"Read", "Describe"}))
REFUSED = Group(refused="Group authorization failed")


def granted(role: str, *, but: tuple[str, str] = ("", "")) -> dict[str, TopicMetadata]:
    """Return the topics as a user with the rights of a role sees them, without one right."""
    rights: dict[str, set[str]] = {}
    for operation, names in ROLES[role].topics.items():
        for name in names:
            rights.setdefault(name, {"Describe"})
            rights[name] |= {operation} if (operation, name) != but else set()
    return {name: TopicMetadata(3, 3, frozenset(allowed)) for name, allowed in rights.items()}


@pytest.mark.parametrize(
    ("role", "group", "fits"),
    [
        ("worker", GRANTED, "worker"),
        ("edge", REFUSED, "edge"),
        # Both act on triggers, in groups that are not asked about.
        ("emailer", REFUSED, "emailer, webhooks"),
        ("webhooks", REFUSED, "webhooks"),
        ("operator", Group("Stable", (), frozenset({"Describe"})), "operator"),
    ],
)
def test_the_rights_of_a_role_are_enough_for_it_and_for_no_other(role, group, fits):
    finding = check_rights("ann", granted(role), group)
    assert finding.severity is Severity.OK
    assert finding.observed == f"ann has the rights of: {fits}"


@pytest.mark.parametrize(
    ("role", "operation", "name"),
    [
        (role, operation, name)
        for role, needed in ROLES.items()
        for operation, names in needed.topics.items()
        if operation != "Describe"  # without it the topic is not seen at all
        for name in names
        # What is left then is all that webhooks need.
        if (role, operation, name) != ("emailer", "Read", "consent-events")
    ],
)
def test_a_single_right_that_is_missing_is_named(role, operation, name):
    group = GRANTED if ROLES[role].group else REFUSED
    finding = check_rights("ann", granted(role, but=(operation, name)), group)
    assert finding.severity is Severity.FAIL
    nearest = next(one for one, needed in ROLES.items() if needed == ROLES[role])
    assert f"for {nearest} it lacks {operation} on {name}" in finding.observed
    assert finding.remedy == "deploy/kafka-acls.sh grants each role its rights"


def test_a_worker_needs_its_group():
    assert check_rights("ann", granted("worker"), REFUSED).observed.endswith(
        "lacks Read on the group"
    )
    described = Group("Stable", (), frozenset({"Describe"}))
    assert check_rights("ann", granted("worker"), described).observed.endswith(
        "lacks Read on the group"
    )


def test_where_anybody_may_do_everything_all_roles_fit():
    everything = dict.fromkeys(healthy.COUNTS, TopicMetadata(1, 1, healthy.ALL))
    finding = check_rights("any client", everything, Group("Dead", (), healthy.ALL))
    assert finding.observed == f"any client has the rights of: {', '.join(ROLES)}"


def test_a_topic_that_is_not_seen_is_a_missing_right_of_whoever_is_restricted():
    topics = granted("worker")
    del topics["page-views"]
    assert check_rights("ann", topics, GRANTED).observed.endswith(
        "for worker it lacks Read on page-views"
    )
    seen = {
        name: TopicMetadata(1, 1, healthy.ALL) for name in healthy.COUNTS if name != "page-views"
    }
    assert check_rights("ann", seen, GRANTED).severity is Severity.OK


def test_rights_that_a_broker_does_not_report_are_not_missing():
    unreported = dict.fromkeys(healthy.COUNTS, TopicMetadata(1, 1, None))
    assert check_rights("ann", unreported, GRANTED).severity is Severity.OK
