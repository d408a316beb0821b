import json
import time
import uuid

from confluent_kafka import Consumer, Producer

KAFKA = {"bootstrap.servers": "localhost:9092"}
producer = Producer(KAFKA | {"partitioner": "murmur2_random"})  # as in Java


def send(topic, type_, visitor, **fields):
    event = {"type": type_, "id": str(uuid.uuid4()), "visitor": visitor}
    event["at_ms"] = time.time_ns() // 1_000_000
    producer.produce(topic, key=visitor, value=json.dumps(event | fields))
    producer.flush()  # until Kafka has acknowledged it


granted = {"personalization": "granted", "marketing_email": "granted"}
send("consent-events", "consent_updated", "confluent", purposes=granted)
mug = {"id": "mug", "price_minor": 1290, "currency": "EUR"}
send("cart-events", "product_added", "confluent", product=mug, quantity=1)

consumer = Consumer(KAFKA | {"group.id": "sms", "auto.offset.reset": "earliest"})
consumer.subscribe(["triggers", "decisions"])


def messages():
    while True:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            headers = {name: value.decode() for name, value in message.headers()}
            record = json.loads(message.value())  # act once for each record["trigger_id"]
            yield message.topic(), message.key().decode(), headers, record


# THE JOURNEY
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event  # noqa: E402

for topic, key, headers, record in messages():
    packed = {name: value.encode() for name, value in headers.items()}
    event = from_binary_event(KafkaMessage(packed, key, json.dumps(record).encode()))
    assert (event.get_id(), event.get_data()) == (headers["ce_id"], record)
    assert event.get_extension("recordedtime") == headers["ce_recordedtime"]
    print(json.dumps({"topic": topic, "key": key, "headers": headers, "record": record}))
    if topic == "triggers" and record["visitor"] == "confluent":
        break
consumer.close()
for number in range(20):
    send("page-views", "page_viewed", f"confluent-{number}", url="/")
