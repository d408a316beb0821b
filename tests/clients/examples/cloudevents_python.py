import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def post(type_, data, pack=to_binary_event):
    attributes = {
        "type": f"cartwake.{type_}.v1",
        "source": "https://shop.example/checkout",
        "subject": "cloudevents-python",
        "datacontenttype": "application/json",
    }
    message = pack(CloudEvent(attributes=attributes, data=data))
    return requests.post(
        "http://localhost:8080/v1/events",
        data=message.body,
        headers=message.headers,
        auth=("trial-server", ""),
        timeout=10,
    )


post("consent_updated", {"purposes": {"personalization": "granted"}})
post(
    "product_added",
    {"product": {"id": "mug", "price_minor": 1290, "currency": "EUR"}, "quantity": 1},
)

# THE JOURNEY
order = {"order": "o-1", "total_minor": 1290, "currency": "EUR"}
answers = [
    post("page_viewed", {"url": "https://shop.example/cart"}, to_structured_event),
    post("order_completed", order, to_structured_event),
    post("order_refunded", {"order": "o-1", "total_minor": 1290, "currency": "EUR"}),
    post("shop_opened", {}),  # no type of ours
]
print([[one.json()["accepted"], one.json()["ignored"]] for one in answers])
