import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({
  writeKey: "trial-server",
  host: "http://localhost:8080",
});
const visitor = { anonymousId: "segment-node" };
const consent = { categoryPreferences: { Functional: true, marketing_email: true } };
const mug = { product_id: "mug", name: "Mug", price: 12.9, currency: "EUR", quantity: 1 };

analytics.track({ ...visitor, event: "Segment Consent Preference Updated", context: { consent } });
analytics.track({ ...visitor, event: "Product Viewed", properties: mug });
analytics.track({ ...visitor, event: "Product Added", properties: mug });
await analytics.flush();

// THE JOURNEY
const order = { order_id: "o-1", total: 12.9, currency: "EUR", products: [mug] };
const failures = [];
analytics.on("error", (error) => failures.push(error.code));
analytics.identify({ ...visitor, userId: "u-1", traits: { plan: "gold" } });
analytics.page({ ...visitor, name: "Cart", properties: { url: "https://shop.example/cart" } });
analytics.track({ ...visitor, event: "Cart Viewed", properties: { currency: "EUR", products: [mug] } });
analytics.track({ ...visitor, event: "Checkout Started", properties: order });
analytics.track({ ...visitor, userId: "u-1", event: "Order Completed", properties: order });
analytics.track({ ...visitor, event: "Order Refunded", properties: order });
const denied = { consent: { categoryPreferences: { Functional: false } } };
analytics.track({ ...visitor, event: "Product Added", properties: mug, context: denied });
await analytics.closeAndFlush();
console.log(JSON.stringify(failures));
