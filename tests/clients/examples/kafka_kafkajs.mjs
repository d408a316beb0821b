import { Kafka, Partitioners } from "kafkajs";

const kafka = new Kafka({ clientId: "shop", brokers: ["localhost:9092"] });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner }); // murmur2, as in Java
const send = (topic, type, visitor, fields) => {
  const event = { type, id: crypto.randomUUID(), visitor, at_ms: Date.now(), ...fields };
  return producer.send({ topic, acks: -1, messages: [{ key: visitor, value: JSON.stringify(event) }] });
};

await producer.connect();
const purposes = { personalization: "granted", marketing_email: "granted" };
await send("consent-events", "consent_updated", "kafkajs", { purposes });
const product = { id: "mug", price_minor: 1290, currency: "EUR" };
await send("cart-events", "product_added", "kafkajs", { product, quantity: 1 });

const consumer = kafka.consumer({ groupId: "crm" });
await consumer.connect();
await consumer.subscribe({ topics: ["triggers", "decisions"], fromBeginning: true });
await consumer.run({
  eachMessage: async ({ topic, message }) => {
    const record = JSON.parse(message.value); // act once for each record.trigger_id
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, `${value}`]));
    console.log(JSON.stringify({ topic, key: `${message.key}`, headers, record }));
    if (topic === "triggers" && record.visitor === "kafkajs") done(message.value, headers, record);
  },
});

// THE JOURNEY
import { Kafka as Binding } from "cloudevents";

setTimeout(() => process.exit(1), 40_000);
async function done(value, headers, record) {
  const event = Binding.toEvent({ headers, value: value.toString() });
  if (!event.validate() || event.id !== record.trigger_id || event.data.visitor !== record.visitor) {
    console.log("no CloudEvent", event);
    process.exit(2);
  }
  for (let number = 0; number < 20; number += 1) {
    await send("page-views", "page_viewed", `kafkajs-${number}`, { url: "/" });
  }
  process.exit(0);
}
