import { clearUserData, newTracker, trackPageView, trackSelfDescribingEvent } from "@snowplow/browser-tracker";
import * as ecommerce from "@snowplow/browser-plugin-snowplow-ecommerce";

const schema = "iglu:com.snowplowanalytics.snowplow/consent_preferences/jsonschema/1-0-0";
let tracker = null;

// What trackConsentAllow and its like of the enhanced consent plugin send.
const choose = (eventType, consentScopes) =>
  trackSelfDescribingEvent({
    event: { schema, data: { eventType, basisForProcessing: "consent", consentUrl: "/privacy", consentVersion: "1", consentScopes, domainsApplied: [location.hostname], gdprApplies: true } },
  });
// `banner` is yours: the answer is such as {Functional: true, Advertising: false}. The tracker
// stores its id at once, so it begins after consent.
banner.onAnswer((answer) => {
  if (answer.Functional) {
    tracker ??= newTracker("shop", "http://localhost:8080", {
      appId: "trial-vendor-page", // a browser key with vendor_ids = true
      plugins: [ecommerce.SnowplowEcommercePlugin()],
    });
    choose("allow_selected", Object.keys(answer).filter((name) => answer[name]));
  } else if (tracker) {
    choose("deny_all", []);
    clearUserData();
    tracker = null;
  }
});

const mug = { id: "mug", name: "Mug", category: "cups", price: 12.9, currency: "EUR", quantity: 1 };
window.shop = {
  view: () => tracker && ecommerce.trackProductView(mug),
  add: () => tracker && ecommerce.trackAddToCart({ products: [mug], total_value: 12.9, currency: "EUR" }),

  // THE JOURNEY
  remove: () => tracker && ecommerce.trackRemoveFromCart({ products: [mug], total_value: 0, currency: "EUR" }),
  cart: () => {},
  checkout: () => tracker && ecommerce.trackCheckoutStep({ step: 1 }),
  order: () => tracker && ecommerce.trackTransaction({ transaction_id: "o-1", revenue: 12.9, currency: "EUR", payment_method: "card", products: [mug] }),
};
if (tracker) trackPageView();
