import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

// A link must not choose the shopper's id.
const address = new URL(location.href);
["ajs_aid", "ajs_uid"].forEach((name) => address.searchParams.delete(name));
history.replaceState(history.state, "", address);

const key = "trial-vendor-page"; // a browser key with vendor_ids = true
const config = { statsCollection: { errors: { enabled: false }, metrics: { enabled: false } } };
const source = { id: "shop", name: "shop", writeKey: key, enabled: true, workspaceId: "shop", destinations: [], config };
const options = {
  getSourceConfig: () => ({ source }), // or your control plane's
  useBeacon: false, // or true
};

// `banner` is yours: the answer is such as {Functional: true, Advertising: false}. Until the shopper
// agrees the SDK is not loaded. preConsent would not do: it makes an id for each event and page.
const analytics = new RudderAnalytics();
let isLoaded = false;
banner.onAnswer((answer) => {
  const allowedConsentIds = Object.keys(answer).filter((name) => answer[name]);
  const deniedConsentIds = Object.keys(answer).filter((name) => !answer[name]);
  const consentManagement = { enabled: true, provider: "custom", allowedConsentIds, deniedConsentIds };
  if (answer.Functional && !isLoaded) {
    analytics.load(key, "http://localhost:8080", { ...options, consentManagement });
    isLoaded = true;
  }
  // Stamps grant nothing: trackConsent makes each choice an event of its own.
  if (isLoaded) analytics.consent({ trackConsent: true, consentManagement });
});

const mug = { product_id: "mug", name: "Mug", price: 12.9, currency: "EUR", quantity: 1 };
window.shop = {
  view: () => analytics.track("Product Viewed", mug),
  add: () => analytics.track("Product Added", mug),

  // THE JOURNEY
  remove: () => analytics.track("Product Removed", mug),
  cart: () => analytics.track("Cart Viewed", { currency: "EUR", products: [mug] }),
  checkout: () => analytics.track("Checkout Started", { order_id: "o-1", currency: "EUR", products: [mug] }),
  order: () => analytics.track("Order Completed", { order_id: "o-1", total: 12.9, currency: "EUR", products: [mug] }),
};
analytics.page();
