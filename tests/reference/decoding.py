"""Section 1, Records in: which records are events, and why the others are dead letters.

The one rule: the reasons come in the order of schemas/README.md; the first that applies counts.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MAX_BYTES = 64 * 1024
MAX_DEPTH = 1024
SAFE = 2**53

Check = Callable[[Any], bool]
REQUIRED, OPTIONAL, DEFAULTED = "required", "optional", "defaulted"  # the last may not be null
Fields = dict[str, tuple[str, Check]]


class DeadLetter(Exception):  # noqa: N818 - not an error: a record's fate
    """A record that can never be processed, and the reason."""


def decode(value: bytes | None, key: bytes | None, topic: str) -> dict[str, Any]:
    """Return the event in a record, or raise `DeadLetter` with the reason."""
    event = _parsed(value)
    try:
        return _judged(event, key, topic)
    except DeadLetter:
        # Numbers are finite; one in a field that is ignored does no harm by itself.
        if _is_infinite(event):
            raise DeadLetter("malformed") from None
        raise


def _judged(event: Any, key: bytes | None, topic: str) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise DeadLetter("not_an_object")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise DeadLetter("invalid")
    if kind not in TOPIC_OF:
        raise DeadLetter("unknown_type")
    if TOPIC_OF[kind] != topic:
        raise DeadLetter("wrong_topic")
    if isinstance(event.get("visitor"), str) and "@" in event["visitor"]:
        raise DeadLetter("email_as_visitor")
    if not _obeys(event, COMMON) or not _obeys(event, TYPES[topic][kind]):
        raise DeadLetter("invalid")
    if key is None or key != event["visitor"].encode():
        raise DeadLetter("bad_key")
    return event


def _parsed(value: bytes | None) -> Any:
    if not value:
        raise DeadLetter("empty")
    if len(value) > MAX_BYTES:
        raise DeadLetter("too_large")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise DeadLetter("not_utf8") from None
    try:
        with _room_for(text):
            parsed = json.loads(text, parse_constant=_refuse, parse_int=_whole_or_not)
    except (ValueError, RecursionError):
        raise DeadLetter("malformed") from None
    if "\\u" in text and not _is_unicode(text):
        raise DeadLetter("malformed")
    return parsed


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _whole_or_not(digits: str) -> int | float:
    # Far beyond 2^53 it is no whole number of ours, and Python refuses to read thousands of digits.
    return int(digits) if len(digits) < 30 else float(digits)


def _is_unicode(text: str) -> bool:
    """Say whether every escaped surrogate is half of a pair."""
    units = re.sub(r"\\\\", "", text)
    units = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", units)
    return re.search(r"\\u[dD][89a-fA-F]", units) is None


def _is_infinite(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_infinite, value.values()))
    if isinstance(value, list):
        return any(map(_is_infinite, value))
    return isinstance(value, float) and math.isinf(value)


@contextmanager
def _room_for(text: str) -> Iterator[None]:
    """Let Python read as deep as the contract allows, and no deeper."""
    if text.count("[") + text.count("{") < 500:
        yield
        return
    if _depth(text) > MAX_DEPTH:
        raise ValueError("too deep")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2 * MAX_DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in re.sub(r'"(\\.|[^"\\])*"', "", text, flags=re.DOTALL):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


# What a field may hold


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(shortest: int, longest: int) -> Check:
    return lambda value: isinstance(value, str) and shortest <= len(value) <= longest


def _shaped(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _object(fields: Fields) -> Check:
    return lambda value: isinstance(value, dict) and _obeys(value, fields)


def _list(check: Check, longest: int | None = None) -> Check:
    return lambda value: (
        isinstance(value, list)
        and (longest is None or len(value) <= longest)
        and all(check(one) for one in value)
    )


def _obeys(values: dict[str, Any], fields: Fields) -> bool:
    for name, (presence, check) in fields.items():
        value = values.get(name)
        if value is None:
            if presence == REQUIRED or (presence == DEFAULTED and name in values):
                return False
        elif not check(value):
            return False
    return True


INTEGER, MINOR, QUANTITY = _whole(-SAFE, SAFE), _whole(0, SAFE), _whole(1, 10_000)
CURRENCY, TEXTS = _shaped("[A-Z]{3}"), _list(_is_text)
A_TEXT, MAYBE_TEXT = (REQUIRED, _is_text), (OPTIONAL, _is_text)
AN_INTEGER, MAYBE_MINOR = (REQUIRED, INTEGER), (OPTIONAL, MINOR)
PURPOSES = (
    *("analytics", "personalization", "marketing_email"),
    *("marketing_sms", "ads", "sale_share"),
)
STATUS = (OPTIONAL, _one_of("granted", "denied", "withdrawn"))

CONTEXT: Fields = {
    "user_agent": MAYBE_TEXT,
    "locale": (OPTIONAL, _shaped("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")),
    "timezone": (OPTIONAL, _shaped(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")),
    "country": (OPTIONAL, _shaped("[A-Z]{2}")),
    "device": (OPTIONAL, _one_of("desktop", "mobile", "tablet")),
    "bot": (DEFAULTED, lambda value: isinstance(value, bool)),
}
COMMON: Fields = {
    "id": (REQUIRED, _text(1, 64)),
    "tenant": (DEFAULTED, _text(1, 64)),
    "visitor": (REQUIRED, _text(1, 128)),
    "at_ms": AN_INTEGER,
    "received_at_ms": (OPTIONAL, INTEGER),
    "context": (OPTIONAL, _object(CONTEXT)),
}
PRODUCT: Fields = {
    "id": A_TEXT,
    **dict.fromkeys(("variant", "name", "category", "brand"), MAYBE_TEXT),
    "price_minor": MAYBE_MINOR,
    "currency": (OPTIONAL, CURRENCY),
    **dict.fromkeys(("url", "image_url"), MAYBE_TEXT),
    "tags": (OPTIONAL, TEXTS),
}
A_PRODUCT = (REQUIRED, _object(PRODUCT))
LINES = _list(_object({"product": A_PRODUCT, "quantity": (REQUIRED, QUANTITY)}), longest=500)
SIGNALS = ("pointer_left_top", "tab_hidden", "back_navigation", "fast_scroll_up", "idle")

TRIGGER_ID = (REQUIRED, _shaped("[0-9a-f]{32}"))
MESSAGE: Fields = {"trigger_id": TRIGGER_ID, "channel": (REQUIRED, _text(1, 128))}
STATUS_CODE, COUNT = _whole(100, 599), _whole(0, SAFE)
REASONS = (
    *("fired", "no_consent", "expired", "cart_empty", "cart_too_small", "cart_too_old"),
    *("already_fired", "cooldown", "dwell_too_short", "holdout", "cancelled", "bought"),
    *("cart_changed", "no_address", "template", "gone", "defect"),
)

TYPES: dict[str, dict[str, Fields]] = {
    "consent-events": {
        "consent_updated": {
            "purposes": (REQUIRED, _object(dict.fromkeys(PURPOSES, STATUS))),
            "valid_until_ms": (OPTIONAL, INTEGER),
            "source": MAYBE_TEXT,
            "policy": MAYBE_TEXT,
        },
        "erasure_requested": {},
    },
    "visitor-facts": {},
    "message-feedback": {
        "action_shown": {"trigger_id": TRIGGER_ID},
        "action_clicked": {"trigger_id": TRIGGER_ID},
        "action_dismissed": {"trigger_id": TRIGGER_ID},
        "message_sent": MESSAGE,
        "message_refused": {**MESSAGE, "code": (OPTIONAL, STATUS_CODE)},
        "message_skipped": {
            **MESSAGE,
            "reason": (REQUIRED, _one_of(*REASONS)),
            "attempts": (DEFAULTED, COUNT),
        },
        "cancel_sent": MESSAGE,
        "cancel_refused": {**MESSAGE, "code": (OPTIONAL, STATUS_CODE)},
        "message_bounced": MESSAGE,
        "message_clicked": MESSAGE,
        "message_unsubscribed": MESSAGE,
    },
    "cart-events": {
        "product_added": {
            "product": A_PRODUCT,
            "quantity": (REQUIRED, QUANTITY),
            "cart": MAYBE_TEXT,
        },
        "product_removed": {
            "product_id": A_TEXT,
            "variant": MAYBE_TEXT,
            "quantity": (OPTIONAL, QUANTITY),
            "cart": MAYBE_TEXT,
        },
        "cart_updated": {"lines": (REQUIRED, LINES), "cart": MAYBE_TEXT},
        "checkout_started": {"order": MAYBE_TEXT, "cart": MAYBE_TEXT},
        "checkout_step_completed": {
            "step": AN_INTEGER,
            "name": MAYBE_TEXT,
            "shipping_minor": MAYBE_MINOR,
        },
        "payment_failed": {"code": MAYBE_TEXT, "reason": MAYBE_TEXT},
        "order_completed": {
            "order": A_TEXT,
            "total_minor": (REQUIRED, MINOR),
            "currency": (REQUIRED, CURRENCY),
            "lines": (OPTIONAL, LINES),
            "cart": MAYBE_TEXT,
        },
        "order_refunded": {"order": A_TEXT, "total_minor": (REQUIRED, MINOR)},
    },
    "page-views": {
        "page_viewed": {
            "url": A_TEXT,
            "title": MAYBE_TEXT,
            "referrer": MAYBE_TEXT,
            "tags": (OPTIONAL, TEXTS),
        },
        "product_viewed": {"product": A_PRODUCT},
        "product_list_viewed": {
            "list": MAYBE_TEXT,
            "products": (OPTIONAL, _list(_object(PRODUCT))),
        },
        "products_searched": {"query": A_TEXT},
        "page_left": {
            "url": A_TEXT,
            "dwell_ms": AN_INTEGER,
            "scroll_pct": (OPTIONAL, _is_number),
        },
        "exit_signalled": {
            "signal": (REQUIRED, _one_of(*SIGNALS)),
            "dwell_ms": AN_INTEGER,
            "url": MAYBE_TEXT,
        },
    },
}
# The topics are listed in the order in which they come at equal timestamps.
TOPICS = tuple(TYPES)
TOPIC_OF = {kind: topic for topic, kinds in TYPES.items() for kind in kinds}
