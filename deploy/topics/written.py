"""What deployments say of topics, from the one table: Kafka's permissions, Strimzi's resources.

``make topics`` writes both; a test compares. Of ``kafka-acls.sh`` only the block
between its two marks is written.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stream.admin import topics as kafka_topics
from stream.config.settings import KafkaSettings, Settings
from stream.domain.topics import LANES, TOPICS, Role, read_by, written_by

FOLDER: Final = Path(__file__).parent.parent
ACLS: Final = FOLDER / "kafka-acls.sh"
STRIMZI: Final = FOLDER / "kubernetes" / "topics" / "topics.yaml"
BEGIN: Final = "# Written by `make topics` from stream/domain/topics.py, down to the line END.\n"
END: Final = "# END\n"
REPLICATION: Final = 3
WIDTH: Final = 100

# Kafka's user for each role, and what the role does.
USERS: Final[dict[Role, tuple[str, str]]] = {
    "worker": ("cartwake-worker", "The processor: reads its shards and learns. It makes no topic."),
    "storefront": ("storefront", "The shop's producers: they write and read nothing."),
    "edge": ("edge", "cartwake edge: writes what it gets over HTTP, reads triggers in no group."),
    "emailer": ("emailer", "Acts on triggers, and asks how far the lanes reach."),
    "webhooks": ("webhooks", "Acts on triggers, and asks how far the lanes reach."),
    "operator": ("cartwake-operator", "People: topics, dead-letters, doctor and status."),
}
ADMINISTRATION: Final = ("Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs")


def acls() -> str:
    """Return the whole of ``kafka-acls.sh``."""
    text = ACLS.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    block = "".join(f"{line}\n" for line in _grants())
    return f"{head}{BEGIN}{block}{END}{tail}"


def strimzi() -> str:
    """Return ``topics.yaml``: what ``cartwake topics create`` makes, as Strimzi's resources."""
    settings = Settings(kafka=KafkaSettings(replication=REPLICATION))
    text = STRIMZI.read_text()
    head = text[: text.index("apiVersion")]
    return head + "---\n".join(_resource(name, settings) for name in TOPICS)


def _resource(name: str, settings: Settings) -> str:
    made = kafka_topics._new_topic(name, settings)  # noqa: SLF001 - the same value, not a copy
    config = "".join(f"    {key}: {value}\n" for key, value in made.config.items())
    return f"""apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata:
  name: {name}
  labels:
    strimzi.io/cluster: kafka
spec:
  partitions: {made.num_partitions}
  replicas: {made.replication_factor}
  config:
{config}"""


def _grants() -> Iterator[str]:
    for role, (user, about) in USERS.items():
        yield f"# {about}"
        if read := read_by(role):
            yield from _allow(user, ["Read"], read)
        if written := written_by(role):
            yield from _allow(user, ["Write"], written)
        if role in {"emailer", "webhooks"}:
            yield from _allow(user, ["Describe"], LANES)
        if role == "operator":
            yield from _allow(user, ADMINISTRATION, TOPICS)
    yield "# KEDA, which scales the workers: how far the group is, and where the log ends."
    yield from _allow("autoscaler", ["Describe"], LANES)


def _allow(user: str, operations: Iterable[str], topics: Iterable[str]) -> Iterator[str]:
    words = [f"--operation {name}" for name in operations] + [f"--topic {name}" for name in topics]
    line = f"allow {user}"
    for word in words:
        if len(line) + len(word) + 3 > WIDTH:
            yield f"{line} \\"
            line = "   "
        line += f" {word}"
    yield line
