"""A real single-broker Kafka (KRaft) from Maven's jars, without Docker.

The one rule: timestamps are the producers'. Nothing is ever deleted for its age, so that records
of years ago can be written and read like those of now.
"""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as ClientMessage
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from tests.rig.kafka_program import QUICK_START, java_command
from tests.rig.processes import LOOPBACK, Program, free_port, wait_until

# 16 bytes in base64, as Kafka wants it; every broker has a folder of its own, so one id will do.
CLUSTER_ID = "Y2FydHdha2UtdGVzdHJpZw"
START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 30.0

BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=8388608
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One record as it lies in a topic; key and value are None where the record has none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


# key, value, timestamp_ms, headers, partition (None: by key, as Java's producers do)
Headers = Sequence[tuple[str, bytes]]
Record = tuple[bytes | None, bytes | None, int, Headers | None, int | None]


class Kafka:
    """One broker; ports and data stay the same through every restart.

    ``java_options=()`` runs it at Java's own settings: slower to start, faster at its peak.
    """

    def __init__(self, folder: Path, java_options: Sequence[str] = QUICK_START) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.bootstrap = f"{LOOPBACK}:{self.port}"
        self._config = folder / "server.properties"
        self._data = folder / "data"
        self._format_options: list[str] = []
        self._config.write_text(
            BROKER.format(
                host=LOOPBACK, port=self.port, controller_port=free_port(), data=self._data
            )
        )
        command = java_command("kafka.Kafka", str(self._config), heap="768m", options=java_options)
        self._program = Program(command, folder / "kafka.log")

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._program.pid

    def start(self) -> None:
        """Start it, on formatted storage, and return once it answers."""
        if not self._data.exists():
            self._format()
        self._program.start()
        self._program.wait_until_ready(self._answers, START_TIMEOUT_S)

    def stop(self) -> None:
        """End it in an orderly way."""
        if self._program.running:
            self._program.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._program.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        self._program.pause()

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._program.resume()

    def restart(self) -> None:
        """Stop it where it runs, and start it on the same ports and data."""
        self.stop()
        self.start()

    def add_partitions(self, names: Iterable[str], partitions: int) -> None:
        """Give topics more partitions: so many in the end."""
        admin = self._admin()
        grown = [NewPartitions(name, partitions) for name in names]
        added = admin.create_partitions(grown, operation_timeout=CALL_TIMEOUT_S)
        for name, done in added.items():
            done.result()
            wait_until(partial(self._leads, name, partitions), f"topic {name}", CALL_TIMEOUT_S)

    def create_topics(
        self, names: Iterable[str], partitions: int, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics; one that exists already is an error."""
        topics = [
            NewTopic(name, partitions, 1, config=dict(config or {}))
            for name in dict.fromkeys(names)
        ]
        admin = self._admin()  # by name, since the answers come only while it lives
        created = admin.create_topics(topics, operation_timeout=CALL_TIMEOUT_S)
        for name, done in created.items():
            done.result()
            # The controller has it; the broker leads its partitions a moment later.
            wait_until(partial(self._leads, name, partitions), f"topic {name}", CALL_TIMEOUT_S)

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics and what is in them."""
        doomed = list(names)
        if not doomed:  # the client refuses an empty list
            return
        admin = self._admin()  # its futures end with it
        deleted = admin.delete_topics(doomed, operation_timeout=CALL_TIMEOUT_S)
        for done in deleted.values():
            done.result()
        wait_until(lambda: not deleted.keys() & self.topics(), "deletion", CALL_TIMEOUT_S)

    def topics(self) -> dict[str, int]:
        """Return the number of partitions by topic, Kafka's own topics left out."""
        found = self._admin().list_topics(timeout=CALL_TIMEOUT_S).topics
        return {name: len(topic.partitions) for name, topic in found.items() if name[:2] != "__"}

    def produce(self, topic: str, records: Iterable[Record]) -> int:
        """Write records in their order and return how many, all of them acknowledged.

        Raises
        ------
        RuntimeError
            One of them was not acknowledged.
        """
        failures: list[KafkaError] = []
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",  # as Java's producers do
                "enable.idempotence": True,
                "log_level": 3,  # errors; that a coordinator is still loading is none
                "linger.ms": 5,
                "queue.buffering.max.messages": 0,
                "delivery.timeout.ms": int(CALL_TIMEOUT_S * 1000),
                "on_delivery": lambda error, _: error and failures.append(error),
            }
        )
        count = 0
        for key, value, timestamp_ms, headers, partition in records:
            place = {} if partition is None else {"partition": partition}
            told = list(headers or ())
            producer.produce(topic, value, key, timestamp=timestamp_ms, headers=told, **place)
            producer.poll(0)
            count += 1
        left = producer.flush(2 * CALL_TIMEOUT_S)
        if failures or left:
            first = failures[0] if failures else "no answer"
            raise RuntimeError(
                f"{topic}: {len(failures) + left} of {count} records not acknowledged: {first}"
            )
        return count

    def read_all(self, topic: str) -> list[Message]:
        """Return everything in a topic up to the ends it has now, partition by partition."""
        return sorted(self._read(topic), key=lambda message: (message.partition, message.offset))

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return per partition the offset that its next record gets."""
        consumer = self._consumer()
        try:
            return _ends(consumer, topic)
        finally:
            consumer.close()

    def _read(self, topic: str) -> Iterator[Message]:
        consumer = self._consumer()
        try:
            ends = {part: end for part, end in _ends(consumer, topic).items() if end > 0}
            consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in ends])
            while ends:
                polled = consumer.poll(CALL_TIMEOUT_S)
                if polled is None:
                    raise TimeoutError(f"{topic}: nothing more to read; still before {ends}")
                yield from _within(polled, ends)
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "rig",  # demanded by the client; nothing is ever committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
            }
        )

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def _answers(self) -> bool:
        # A bare connection first: the client would log each refused one.
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
            return bool(self._admin().list_topics(timeout=1).brokers)
        except (OSError, KafkaException):
            return False

    def _leads(self, topic: str, partitions: int) -> bool:
        try:
            return len(self.end_offsets(topic)) == partitions
        except KafkaException:
            return False

    def _format(self) -> None:
        arguments = ["format", "--standalone", "-t", CLUSTER_ID, "-c", str(self._config)]
        arguments += self._format_options
        command = java_command("kafka.tools.StorageTool", *arguments, heap="128m")
        formatting = Program(command, self.folder / "format.log")
        formatting.start()
        if formatting.wait(START_TIMEOUT_S) != 0:
            raise RuntimeError(f"Kafka's storage was not formatted:\n{formatting.output}")


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    known = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic]
    if known.error is not None:
        raise KafkaException(known.error)
    return {
        part: consumer.get_watermark_offsets(TopicPartition(topic, part), CALL_TIMEOUT_S)[1]
        for part in known.partitions
    }


def _within(polled: ClientMessage, ends: dict[int, int]) -> Iterator[Message]:
    """Yield the record if it lies before the end of its partition; drop ends that are reached."""
    error, part, offset = polled.error(), polled.partition(), polled.offset()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    end = ends.get(part, 0)
    if error is None and offset < end:
        yield _message(polled)
    # The end of the partition counts too: its last offsets may be a transaction's markers.
    if error is not None or offset >= end - 1:
        ends.pop(part, None)


def _message(polled: ClientMessage) -> Message:
    kind, timestamp_ms = polled.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE:
        raise ValueError(f"a record of {polled.topic()} has no timestamp")
    return Message(
        topic=polled.topic(),
        partition=polled.partition(),
        offset=polled.offset(),
        timestamp_ms=timestamp_ms,
        key=polled.key(),
        value=polled.value(),
        headers=dict(polled.headers() or ()),
    )
