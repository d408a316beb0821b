from snowplow_tracker import (
    EmitterConfiguration,
    PageView,
    SelfDescribing,
    SelfDescribingJson,
    Snowplow,
    Subject,
)

ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce"
CONSENT = "iglu:com.snowplowanalytics.snowplow/consent_preferences/jsonschema/1-0-0"
subject = Subject().set_domain_user_id("snowplow-python")
# app_id is the key
tracker = Snowplow.create_tracker(
    namespace="shop",
    endpoint="http://localhost:8080",
    app_id="trial-server",
    subject=subject,
    emitter_config=EmitterConfiguration(batch_size=50),
)


def entity(name, data):
    return SelfDescribingJson(f"{ECOMMERCE}/{name}/jsonschema/1-0-0", data)


def act(kind, *entities):
    action = f"{ECOMMERCE}/snowplow_ecommerce_action/jsonschema/1-0-2"
    event = SelfDescribingJson(action, {"type": kind})
    tracker.track(SelfDescribing(event, context=list(entities)))


product = entity(
    "product", {"id": "mug", "category": "cups", "price": 12.9, "currency": "EUR", "quantity": 1}
)
choice = {
    "eventType": "allow_selected",
    "basisForProcessing": "consent",
    "consentScopes": ["preferences"],
    "consentUrl": "https://shop.example/privacy",
    "consentVersion": "2",
    "domainsApplied": ["shop.example"],
}

tracker.track(SelfDescribing(SelfDescribingJson(CONSENT, choice)))
act("product_view", product)
act("add_to_cart", product)
tracker.flush()

# THE JOURNEY
import time  # noqa: E402

tracker.track(PageView("https://shop.example/cart", "Cart"))
act("checkout_step", entity("checkout_step", {"step": 1}))
order = {"transaction_id": "o-1", "revenue": 12.9, "currency": "EUR"}
act("transaction", entity("transaction", order), product)
refund = {"transaction_id": "o-1", "refund_amount": 12.9, "currency": "EUR"}
act("refund", entity("refund", refund))
denial = choice | {"eventType": "deny_all", "consentScopes": []}
act("add_to_cart", product, SelfDescribingJson(CONSENT, denial))
deadline = time.monotonic() + 30
while tracker.emitters[0].event_store.size() and time.monotonic() < deadline:
    tracker.flush()
    time.sleep(0.1)  # it tries again by a timer, and does nothing until then
print("[]")
