"""Checks Kafka: brokers, topics, the workers' group, and rights.

It reads only the survey. What ``topics check`` refuses is a failure here.
"""

from collections.abc import Iterator
from typing import Final

from stream.adapters.kafka.describe import Group
from stream.adapters.kafka.topic_rules import ACTED_ON, partitions, too_small, uneven
from stream.admin.finding import Finding, fail, ok, warn
from stream.admin.kafka_survey import KafkaSurvey
from stream.admin.roles import check_rights
from stream.admin.topic_checks import check_topic
from stream.config.settings import Settings
from stream.domain.topics import LANES, TOPICS

# The newest version of Fetch, and the first release of Kafka that supports it.
RELEASES: Final = (
    (18, "4.1"),
    (17, "3.9"),
    (16, "3.7"),
    (15, "3.5"),
    (13, "3.1"),
    (12, "2.7"),
)
CREATE: Final = "create it with 'cartwake topics create', or give this user Describe on it"
AGAIN: Final = "partitions cannot be removed: create the topics again, and use another worker.group"
AS_OPERATOR: Final = "run doctor as a user with the operator's rights, see deploy/kafka-acls.sh"


def check_kafka(survey: KafkaSurvey, settings: Settings) -> Iterator[Finding]:
    """Yield the findings about Kafka."""
    yield _broker(survey, settings)
    yield from _inputs(survey)
    for name in TOPICS:
        if name in survey.counts:
            yield from check_topic(name, survey, settings)
        else:
            yield fail(f"topic {name}", "does not exist, or this user may not see it", CREATE)
    for observed in too_small(survey.configs):
        yield fail("dead letters", observed, "set its max.message.bytes higher")
    if survey.unreadable:
        observed = f"this user may not read those of {', '.join(sorted(survey.unreadable))}"
        yield warn("settings of topics", observed, AS_OPERATOR)
    user = settings.kafka.sasl_username or "any client"
    yield check_rights(user, survey.topics, survey.group)
    yield _group(settings.worker.group, survey.group)


def shard_count(survey: KafkaSurvey) -> int | None:
    """Return how many shards there are; None if the inputs differ in their partition counts."""
    counts = {survey.counts.get(name) for name in LANES}
    return counts.pop() if len(counts) == 1 else None


def _broker(survey: KafkaSurvey, settings: Settings) -> Finding:
    release = next((name for least, name in RELEASES if survey.fetches >= least), None)
    brokers = f"{survey.brokers} broker{'' if survey.brokers == 1 else 's'}"
    answers = f"answers at {settings.kafka.bootstrap}: {brokers}"
    if survey.topics and not any(one.id for one in survey.topics.values()):
        observed = (
            f"{answers}, older than 2.8: workers cannot notice a topic that is deleted and created"
            " again"
        )
        return warn("Kafka", observed, "use Kafka 2.8 or newer")
    return ok("Kafka", f"{answers}, {f'protocol of {release}' if release else 'unknown version'}")


def _inputs(survey: KafkaSurvey) -> Iterator[Finding]:
    counts = {name: survey.counts[name] for name in LANES if name in survey.counts}
    for observed in uneven(counts):
        yield fail("inputs", observed.removeprefix("the inputs "), AGAIN)
        return
    if counts:
        yield ok("inputs", f"{partitions(next(iter(counts.values())))} each")
    acted_on = {name: survey.counts[name] for name in ACTED_ON if name in survey.counts}
    for observed in uneven(acted_on, "the topics"):
        yield warn(
            "topics",
            observed.removeprefix("the topics "),
            f"cartwake emailer and webhooks refuse to start on them: {AGAIN}",
        )


def _group(name: str, group: Group) -> Finding:
    subject = f"group {name}"
    if group.refused:
        return warn(subject, f"cannot be described ({group.refused})", AS_OPERATOR)
    count = len(group.members)
    if not count:
        return ok(subject, "no worker runs")
    return ok(subject, f"{count} worker{'' if count == 1 else 's'}, {group.state}")
