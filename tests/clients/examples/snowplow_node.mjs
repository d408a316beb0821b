import snowplow from "@snowplow/node-tracker";

const tracker = snowplow.newTracker(
  { namespace: "shop", appId: "trial-server" }, // appId is the key
  { endpoint: "http://localhost:8080", bufferSize: 50 },
);
tracker.setDomainUserId("snowplow-node");

const ecommerce = "iglu:com.snowplowanalytics.snowplow.ecommerce";
const mug = { id: "mug", name: "Mug", category: "cups", price: 12.9, currency: "EUR", quantity: 1 };
const product = { schema: `${ecommerce}/product/jsonschema/1-0-0`, data: mug };
const act = (type, ...entities) => {
  const schema = `${ecommerce}/snowplow_ecommerce_action/jsonschema/1-0-2`;
  const event = { schema, data: { type } };
  tracker.track(snowplow.buildSelfDescribingEvent({ event }), entities);
};
const choice = {
  schema: "iglu:com.snowplowanalytics.snowplow/consent_preferences/jsonschema/1-0-0",
  data: { eventType: "allow_selected", basisForProcessing: "consent", consentScopes: ["preferences"],
    consentUrl: "https://shop.example/privacy", consentVersion: "2", domainsApplied: ["shop.example"] },
};

tracker.track(snowplow.buildSelfDescribingEvent({ event: choice }));
act("product_view", product);
act("add_to_cart", product);
await tracker.flush();

// THE JOURNEY
const entity = (name, data) => ({ schema: `${ecommerce}/${name}/jsonschema/1-0-0`, data });
tracker.track(snowplow.buildPageView({ pageUrl: "https://shop.example/cart", pageTitle: "Cart" }));
act("checkout_step", entity("checkout_step", { step: 1 }));
const order = { transaction_id: "o-1", revenue: 12.9, currency: "EUR", total_quantity: 1, payment_method: "card" };
act("transaction", entity("transaction", order), product);
act("refund", entity("refund", { transaction_id: "o-1", refund_amount: 12.9, currency: "EUR" }));
const denial = { ...choice, data: { ...choice.data, eventType: "deny_all", consentScopes: [] } };
act("add_to_cart", product, denial);
await tracker.flush();
console.log("[]");
