import Analytics from "@rudderstack/rudder-sdk-node";

const rudder = new Analytics("trial-server", {
  dataPlaneUrl: "http://localhost:8080",
});
const visitor = { anonymousId: "rudderstack-node" };
const consentManagement = { allowedConsentIds: ["C0003", "marketing_email"], deniedConsentIds: ["C0004"] };
const mug = { product_id: "mug", name: "Mug", price: 12.9, currency: "EUR", quantity: 1 };

rudder.track({ ...visitor, event: "Consent Management Updated", context: { consentManagement } });
rudder.track({ ...visitor, event: "Product Viewed", properties: mug });
rudder.track({ ...visitor, event: "Product Added", properties: mug });
await rudder.flush();

// THE JOURNEY
const order = { order_id: "o-1", total: 12.9, currency: "EUR", products: [mug] };
rudder.identify({ ...visitor, userId: "u-1", traits: { plan: "gold" } });
rudder.page({ ...visitor, name: "Cart", properties: { url: "https://shop.example/cart" } });
rudder.track({ ...visitor, event: "Cart Viewed", properties: { currency: "EUR", products: [mug] } });
rudder.track({ ...visitor, event: "Checkout Started", properties: order });
rudder.track({ ...visitor, userId: "u-1", event: "Order Completed", properties: order });
rudder.track({ ...visitor, event: "Order Refunded", properties: order });
const denied = { consentManagement: { allowedConsentIds: [], deniedConsentIds: ["C0003"] } };
rudder.track({ ...visitor, event: "Product Added", properties: mug, context: denied });
const failures = [];
await rudder.flush().catch((error) => failures.push(error.message));
console.log(JSON.stringify(failures));
process.exit(0);
