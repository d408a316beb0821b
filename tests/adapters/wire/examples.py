"""Events by hand: one per type, and every field at its bounds and beyond them."""

import json

import pytest

from stream.adapters.wire.codec import MAX_EVENT_BYTES, Rejected, decode

COMMON = {"id": "e1", "visitor": "v1", "at_ms": 1_470_000_000_000}
PRODUCT = {"id": "p1", "variant": "red", "price_minor": 1999, "currency": "EUR"}
LINES = [{"product": PRODUCT, "quantity": 2}]
# One event per type with the fields that it must have.
ACTION = {"trigger_id": "0f" * 16}
MESSAGE = {**ACTION, "channel": "email"}
REQUIRED = {
    "page_viewed": {"url": "/"},
    "product_viewed": {"product": PRODUCT},
    "product_list_viewed": {},
    "products_searched": {"query": "shoes"},
    "page_left": {"url": "/", "dwell_ms": 10},
    "exit_signalled": {"signal": "tab_hidden", "dwell_ms": 5000},
    "product_added": {"product": PRODUCT, "quantity": 1},
    "product_removed": {"product_id": "p1"},
    "cart_updated": {"lines": LINES},
    "checkout_started": {},
    "checkout_step_completed": {"step": 1},
    "payment_failed": {},
    "order_completed": {"order": "o1", "total_minor": 100, "currency": "EUR"},
    "order_refunded": {"order": "o1", "total_minor": 100},
    "consent_updated": {"purposes": {"personalization": "granted"}},
    "erasure_requested": {},
    **dict.fromkeys(("action_shown", "action_clicked", "action_dismissed"), ACTION),
    **dict.fromkeys(("message_sent", "message_refused", "message_bounced"), MESSAGE),
    **dict.fromkeys(("message_clicked", "message_unsubscribed"), MESSAGE),
    **dict.fromkeys(("cancel_sent", "cancel_refused"), MESSAGE),
    "message_skipped": {**MESSAGE, "reason": "expired"},
}
OPTIONAL = {
    **{name: [] for name in REQUIRED if name.startswith(("action_", "message_", "cancel_"))},
    "message_refused": ["code"],
    "cancel_refused": ["code"],
    "page_viewed": ["title", "referrer", "tags"],
    "product_viewed": [],
    "product_list_viewed": ["list", "products"],
    "products_searched": [],
    "page_left": ["scroll_pct"],
    "exit_signalled": ["url"],
    "product_added": ["cart"],
    "product_removed": ["variant", "quantity", "cart"],
    "cart_updated": ["cart"],
    "checkout_started": ["order", "cart"],
    "checkout_step_completed": ["name", "shipping_minor"],
    "payment_failed": ["code", "reason"],
    "order_completed": ["lines", "cart"],
    "order_refunded": [],
    "consent_updated": ["valid_until_ms", "source", "policy"],
    "erasure_requested": [],
}


def fields_of(name="page_viewed", /, **changes):
    return {"type": name, **COMMON, **REQUIRED[name], **changes}


def value_of(name="page_viewed", /, **changes):
    return json.dumps(fields_of(name, **changes)).encode()


def without(name, field):
    fields = fields_of(name)
    del fields[field]
    return json.dumps(fields).encode()


SAFE = 2**53
CARTFUL = [{"product": {"id": str(n)}, "quantity": 1} for n in range(501)]
# Type, field, values within the bounds, values beyond them.
BOUNDS = [
    ("page_viewed", "id", ["x", "ü" * 64], ["", "x" * 65, 1]),
    ("page_viewed", "tenant", ["x", "x" * 64], ["", "x" * 65, 1]),
    ("page_viewed", "visitor", ["x", "\U0001f6d2" * 128], ["", "x" * 129, 1]),
    ("page_viewed", "at_ms", [SAFE, -SAFE, 0], [SAFE + 1, -SAFE - 1]),
    ("page_viewed", "received_at_ms", [SAFE, -SAFE], [SAFE + 1, -SAFE - 1]),
    ("page_viewed", "url", [""], [1, []]),
    ("page_viewed", "tags", [[], ["a"]], ["a", [1], [None]]),
    ("page_viewed", "context", [{}], [[], "x"]),
    ("product_list_viewed", "list", ["l"], [1]),
    ("product_list_viewed", "products", [[], [{"id": "p"}]], [[{}], ["p"], {}]),
    ("products_searched", "query", [""], [1]),
    ("page_left", "dwell_ms", [0, SAFE], [SAFE + 1, 0.5]),
    ("page_left", "scroll_pct", [0, 99.5, 100], ["1", True]),
    ("exit_signalled", "dwell_ms", [0, SAFE], [SAFE + 1, "5"]),
    (
        "exit_signalled",
        "signal",
        ["pointer_left_top", "tab_hidden", "back_navigation", "fast_scroll_up", "idle"],
        ["", "IDLE", "left", 1],
    ),
    ("product_added", "quantity", [1, 10_000], [0, -1, 10_001]),
    ("product_added", "cart", ["c"], [1]),
    ("product_removed", "quantity", [1, 10_000], [0, 10_001]),
    ("product_removed", "product_id", ["p"], [1]),
    ("cart_updated", "lines", [[], CARTFUL[:500]], [CARTFUL, {}, [{"quantity": 1}]]),
    ("checkout_step_completed", "step", [-1, 0, SAFE], [SAFE + 1, "1"]),
    ("checkout_step_completed", "shipping_minor", [0, SAFE], [-1, SAFE + 1]),
    ("order_completed", "total_minor", [0, SAFE], [-1, SAFE + 1, 9.99]),
    ("order_completed", "currency", ["EUR"], ["eur", "EU", "EURO", "€€€", "EUR\n"]),
    ("order_completed", "lines", [[], CARTFUL[:500]], [CARTFUL]),
    ("order_refunded", "total_minor", [0, SAFE], [-1, SAFE + 1]),
    ("consent_updated", "valid_until_ms", [SAFE, -SAFE], [SAFE + 1, -SAFE - 1]),
    ("consent_updated", "purposes", [{}], [[], {"ads": "yes"}, {"ads": True}]),
]
NESTED_BOUNDS = [
    (
        lambda it: ("product_viewed", {"product": PRODUCT | it}),
        "price_minor",
        [0, SAFE],
        [-1, SAFE + 1],
    ),
    (lambda it: ("product_viewed", {"product": PRODUCT | it}), "currency", ["EUR"], ["EURO", "e"]),
    (lambda it: ("product_viewed", {"product": PRODUCT | it}), "id", ["p"], [None, 1]),
    (lambda it: ("product_viewed", {"product": PRODUCT | it}), "tags", [["a"]], [[1]]),
    (
        lambda it: ("cart_updated", {"lines": [{"product": PRODUCT} | it]}),
        "quantity",
        [1, 10_000],
        [0, 10_001, None],
    ),
    (lambda it: ("page_viewed", {"context": it}), "country", ["DE"], ["de", "DEU", "D"]),
    (
        lambda it: ("page_viewed", {"context": it}),
        "locale",
        ["de", "zh-Hant-TW", "de-DE-u-co-phonebk"],
        ["de_DE", "", "de-", "languages"],
    ),
    (
        lambda it: ("page_viewed", {"context": it}),
        "timezone",
        ["Europe/Berlin", "UTC", "America/Argentina/Ushuaia", "Etc/GMT+5"],
        ["", "Europe/", "Europe Berlin"],
    ),
    (
        lambda it: ("page_viewed", {"context": it}),
        "device",
        ["desktop", "mobile", "tablet"],
        ["phone", ""],
    ),
    (lambda it: ("page_viewed", {"context": it}), "bot", [True, False], ["yes", 1]),
    (lambda it: ("page_viewed", {"context": it}), "user_agent", [""], [1]),
]


def cases(*, within):
    """Return (type, changed fields) for every value at or beyond its bound."""
    flat = [
        (name, {field: value})
        for name, field, *values in BOUNDS
        for value in values[0 if within else 1]
    ]
    deep = [
        build({field: value})
        for build, field, *values in NESTED_BOUNDS
        for value in values[0 if within else 1]
    ]
    return flat + deep


def raw(**texts):
    """Return a page view whose given fields are raw JSON texts."""
    members = {name: json.dumps(value) for name, value in fields_of().items()} | texts
    return b"{%s}" % ",".join(f'"{name}":{text}' for name, text in members.items()).encode()


def rejected(value, topic=None):
    with pytest.raises(Rejected) as caught:
        decode(value, topic)
    return caught.value


def named(cases):
    return [pytest.param(name, it, id=f"{name}-{it!s:.60}") for name, it in cases]


def nested(depth):
    return raw(extra="[" * depth + "]" * depth)


PAGE = value_of()

PAD = MAX_EVENT_BYTES - len(value_of(title=""))
