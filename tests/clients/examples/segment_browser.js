import { AnalyticsBrowser } from "@segment/analytics-next";
import { createWrapper } from "@segment/analytics-consent-tools";

const edge = new URL("http://localhost:8080/v1");
const key = "trial-vendor-page"; // a browser key with vendor_ids = true
const answered = new Promise((resolve) => banner.onAnswer((answer) => answer.Functional && resolve()));

// `banner` is yours: its `answer` is such as {Functional: true, Advertising: false}.
const withBanner = createWrapper({
  // Until the shopper agrees nothing is sent or stored; calls wait in memory.
  shouldLoadSegment: async (context) => {
    await answered;
    context.load({ consentModel: "opt-in" });
  },
  getCategories: () => banner.answer,
  // Stamps grant nothing: each choice is an event of its own, also the first one of a page.
  registerOnConsentChanged: (tell) => banner.onAnswer(tell),
});
const analytics = withBanner(new AnalyticsBrowser());
const integrations = {
  "Segment.io": {
    apiKey: key,
    apiHost: edge.host + edge.pathname,
    protocol: edge.protocol.slice(0, -1),
    deliveryStrategy: { strategy: "standard" }, // or "batching"
  },
};
const consentSettings = { allCategories: ["Functional", "Advertising"], hasUnmappedDestinations: false };
// No id from a link: useQueryString.
analytics.load({ writeKey: key, cdnSettings: { integrations, consentSettings } }, { useQueryString: false, integrations });

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
