"""What is to be said of Kafka: brokers, topics, the workers' group, and rights.

The one rule: it judges what was found and asks nothing. What ``topics check`` refuses fails here.
"""

from collections.abc import Iterator
from typing import Final

from stream.adapters.kafka.describe import Group
from stream.adapters.kafka.topic_rules import (
    ACTED_ON,
    RETENTION_DAYS,
    partitions,
    too_small,
    uneven,
)
from stream.admin import roles, topic
from stream.admin.finding import Finding, fail, ok, warn
from stream.admin.kafka_survey import KafkaSurvey
from stream.config.settings import Settings
from stream.domain.events import TOPICS
from stream.domain.feedback import MESSAGE_FEEDBACK

# The first versions of Kafka that speak so new a Fetch.
SPEAKS: Final = (
    (18, "4.1"),
    (17, "3.9"),
    (16, "3.7"),
    (15, "3.5"),
    (13, "3.1"),
    (12, "2.7"),
)
MAKE: Final = "make it with 'cartwake topics create', or let this user see it"
ANEW: Final = "no topic can have fewer: make them anew, and use another worker.group"
AS_OPERATOR: Final = "run doctor as a user with the operator's rights, see deploy/kafka-acls.sh"


def judge(survey: KafkaSurvey, settings: Settings) -> Iterator[Finding]:
    """Yield what is to be said."""
    yield _broker(survey, settings)
    yield from _inputs(survey)
    for name in RETENTION_DAYS:
        if name in survey.counts:
            yield from topic.judge(name, survey, settings)
        else:
            # A worker neither reads nor writes what the edge hears back.
            say = warn if name == MESSAGE_FEEDBACK else fail
            yield say(f"topic {name}", "is not there, or not to be seen by this user", MAKE)
    for found in too_small(survey.configs):
        yield fail("dead letters", found, "set its max.message.bytes higher")
    if survey.unreadable:
        found = f"{', '.join(sorted(survey.unreadable))} do not tell theirs to this user"
        yield warn("settings of topics", found, AS_OPERATOR)
    user = settings.kafka.sasl_username or "any client"
    yield roles.judge(user, survey.topics, survey.group)
    yield _group(settings.worker.group, survey.group)


def shards(survey: KafkaSurvey) -> int | None:
    """Return how many shards there are; None where the inputs do not say that with one voice."""
    counts = {survey.counts.get(name) for name in TOPICS}
    return counts.pop() if len(counts) == 1 else None


def _broker(survey: KafkaSurvey, settings: Settings) -> Finding:
    spoken = next((name for least, name in SPEAKS if survey.fetches >= least), None)
    brokers = f"{survey.brokers} broker{'' if survey.brokers == 1 else 's'}"
    told = f"answers at {settings.kafka.bootstrap}: {brokers}"
    if survey.topics and not any(one.id for one in survey.topics.values()):
        found = f"{told}, older than 2.8: a topic that is made anew may not be noticed"
        return warn("Kafka", found, "use Kafka 2.8 or newer")
    return ok("Kafka", f"{told}, {f'speaks as {spoken} does' if spoken else 'of unknown version'}")


def _inputs(survey: KafkaSurvey) -> Iterator[Finding]:
    counts = {name: survey.counts[name] for name in TOPICS if name in survey.counts}
    for found in uneven(counts):
        yield fail("inputs", found.removeprefix("the inputs "), ANEW)
        return
    if counts:
        yield ok("inputs", f"{partitions(next(iter(counts.values())))} each")
    acted_on = {name: survey.counts[name] for name in ACTED_ON if name in survey.counts}
    for found in uneven(acted_on, "the topics"):
        yield warn(
            "topics",
            found.removeprefix("the topics "),
            f"cartwake emailer and webhooks do not run on them: {ANEW}",
        )


def _group(name: str, group: Group) -> Finding:
    what = f"group {name}"
    if group.refused:
        return warn(what, f"is not told ({group.refused})", AS_OPERATOR)
    count = len(group.members)
    if not count:
        return ok(what, "no worker runs")
    return ok(what, f"{count} worker{'' if count == 1 else 's'}, {group.state}")
