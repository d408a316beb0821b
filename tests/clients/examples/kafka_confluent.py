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
for topic, key, headers, record in messages():
    print(json.dumps({"topic": topic, "key": key, "headers": headers, "record": record}))
    if topic == "triggers" and record["visitor"] == "confluent":
        break
consumer.close()
for number in range(20):
    send("page-views", "page_viewed", f"confluent-{number}", url="/")
