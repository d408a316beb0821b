const url = "http://localhost:8080/v1/hooks/shopify?writeKey=trial-vendor-page"; // with vendor_ids = true

let privacy = init.customerPrivacy;
let sent = ""; // the choice that this page has sent
let visitor = null;

// In order; what the edge could not store, it takes again under the same ids.
let last = Promise.resolve();
const send = (events) => (last = last.then(() => post(events, 5)));
async function post(events, tries) {
  const answer = await fetch(url, { method: "POST", keepalive: true, body: JSON.stringify(events) }).catch(() => null);
  if (answer?.ok || tries === 0) return;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await post(events, tries - 1);
}

// Shopify's events hold no consent: it goes before them, as an event of its own.
function choice(event) {
  const { id, timestamp } = event;
  return { name: "visitorConsentCollected", id: `${id}-choice`, clientId: visitor, timestamp, customerPrivacy: privacy };
}

api.customerPrivacy.subscribe("visitorConsentCollected", (event) => {
  const isWithdrawn = privacy.preferencesProcessingAllowed && !event.customerPrivacy.preferencesProcessingAllowed;
  privacy = event.customerPrivacy;
  if (isWithdrawn && visitor) send([choice({ id: crypto.randomUUID(), timestamp: new Date().toISOString() })]);
});

analytics.subscribe("all_standard_events", (event) => {
  visitor = event.clientId;
  if (!privacy.preferencesProcessingAllowed) return; // nothing is sent before consent
  const isNew = sent !== JSON.stringify(privacy);
  sent = JSON.stringify(privacy);
  send(isNew ? [choice(event), event] : [event]);
});
