import { CloudEvent, Mode, emitterFor, httpTransport } from "cloudevents";

const transport = httpTransport("http://localhost:8080/v1/events");
const authorization = `Basic ${btoa("trial-server:")}`; // the key as user, no password
const common = { source: "https://shop.example/checkout", subject: "cloudevents-node" };
const consent = { purposes: { personalization: "granted" } };
const added = { product: { id: "mug", price_minor: 1290, currency: "EUR" }, quantity: 1 };
const send = (emit, type, data) =>
  emit(new CloudEvent({ ...common, type: `cartwake.${type}.v1`, data }), { headers: { authorization } });

const binary = emitterFor(transport);
await send(binary, "consent_updated", consent);
await send(binary, "product_added", added);

// THE JOURNEY
const structured = emitterFor(transport, { mode: Mode.STRUCTURED });
const order = { order: "o-1", total_minor: 1290, currency: "EUR" };
const answers = [
  await send(structured, "page_viewed", { url: "https://shop.example/cart" }),
  await send(structured, "order_completed", order),
  await send(binary, "order_refunded", { order: "o-1", total_minor: 1290, currency: "EUR" }),
  await send(binary, "shop_opened", {}), // no type of ours
];
console.log(JSON.stringify(answers.map(({ body }) => JSON.parse(body)).map((one) => [one.accepted, one.ignored])));
