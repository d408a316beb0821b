import json
from traceback import format_exception

import pytest

from stream.adapters.wire.codec import MAX_EVENT_BYTES
from tests.adapters.wire.examples import PAD, PAGE, nested, raw, rejected, value_of, without

POISON = [
    ("a tombstone", None, "empty"),
    ("zero bytes", b"", "empty"),
    ("one byte too many", value_of(title="x" * (PAD + 1)), "too_large"),
    ("too many bytes of anything", b"\xff" * (MAX_EVENT_BYTES + 1), "too_large"),
    ("bad UTF-8", value_of(title="*").replace(b"*", b"\xff"), "not_utf8"),
    ("bad UTF-8 in an ignored field", value_of(extra="*").replace(b"*", b"\xc3"), "not_utf8"),
    ("a surrogate in UTF-8", value_of(extra="*").replace(b"*", b"\xed\xa0\x80"), "not_utf8"),
    ("UTF-16", PAGE.decode().encode("utf-16"), "not_utf8"),
    ("white space", b" \n", "malformed"),
    ("no JSON", b"hello", "malformed"),
    ("a cut record", PAGE[:-1], "malformed"),
    ("garbage after it", PAGE + b"x", "malformed"),
    ("two of them", PAGE + PAGE, "malformed"),
    ("a comma too many", PAGE[:-1] + b",}", "malformed"),
    ("single quotes", PAGE.replace(b'"', b"'"), "malformed"),
    ("a byte order mark", b"\xef\xbb\xbf" + PAGE, "malformed"),
    ("a line feed in a text", raw(url='"a\nb"'), "malformed"),
    ("a NUL in a text", raw(url='"a\0b"'), "malformed"),
    ("a NUL after it", PAGE + b"\0", "malformed"),
    ("nothing but NULs", bytes(100), "malformed"),
    ("NaN", raw(at_ms="NaN"), "malformed"),
    ("NaN in an ignored field", raw(extra="NaN"), "malformed"),
    ("Infinity", raw(at_ms="-Infinity"), "malformed"),
    ("an infinite exponent", raw(at_ms="1e999"), "malformed"),
    ("a leading zero", raw(at_ms="01"), "malformed"),
    ("a lone surrogate", raw(url=r'"\ud800"'), "malformed"),
    ("a lone surrogate in an ignored field", raw(extra=r'"\udc00 and more"'), "malformed"),
    ("nested beyond measure", nested(30_000), "malformed"),
    ("nested a little too deep", nested(1_024), "malformed"),
    ("a never closed nest", b"[" * MAX_EVENT_BYTES, "malformed"),
    ("a nest of objects", b'{"a":' * 13_000, "malformed"),
    ("a list", b"[%s]" % PAGE, "not_an_object"),
    ("a text", b'"page_viewed"', "not_an_object"),
    ("a number", b"1", "not_an_object"),
    ("null", b"null", "not_an_object"),
    ("no type", without("page_viewed", "type"), "invalid"),
    ("type null", raw(type="null"), "invalid"),
    ("type as a number", raw(type="7"), "invalid"),
    ("a type nobody knows", raw(type='"page_wieved"'), "unknown_type"),
    ("a type in capitals", raw(type='"PAGE_VIEWED"'), "unknown_type"),
    ("an empty type", raw(type='""'), "unknown_type"),
    ("an e-mail address as visitor", raw(visitor='"jo@shop.example"'), "email_as_visitor"),
    ("an escaped @", raw(visitor=r'"jo\u0040shop"'), "email_as_visitor"),
    ("an @ and more", value_of(visitor="jo@shop", at_ms=None), "email_as_visitor"),
    ("2**64", raw(at_ms=str(2**64)), "invalid"),
    ("-2**64", raw(at_ms=str(-(2**64))), "invalid"),
    ("a hundred digits", raw(at_ms="1" * 100), "invalid"),
    ("more digits than Python reads", raw(at_ms="1" * 5_000), "malformed"),
    ("a fraction", raw(at_ms="1.5"), "invalid"),
    ("a whole float", raw(at_ms="1.0"), "invalid"),
    ("a bool as number", raw(at_ms="true"), "invalid"),
    ("a number as text", raw(at_ms='"1"'), "invalid"),
]


@pytest.mark.parametrize(("value", "reason"), [p[1:] for p in POISON], ids=[p[0] for p in POISON])
def test_poison_is_rejected_with_its_reason(value, reason):
    assert rejected(value).reason == reason


SECRET = "jo.doe@shop.example - at `$.x`"


@pytest.mark.parametrize(
    "value",
    [
        value_of(visitor=SECRET),
        value_of("exit_signalled", signal=SECRET),
        value_of("consent_updated", purposes={"ads": SECRET}),
        value_of("page_viewed", context={"device": SECRET, "country": SECRET}),
        value_of("page_viewed", context={"locale": SECRET}),
        value_of("page_viewed", at_ms=SECRET),
        value_of("order_completed", currency=SECRET),
        value_of(type=SECRET),
        json.dumps({SECRET: 1}).encode(),
        value_of() + SECRET.encode(),
        SECRET.encode(),
    ],
)
def test_nothing_of_a_rejected_value_is_repeated(value):
    why = rejected(value)
    assert "doe" not in "\n".join([why.detail, *format_exception(why)])
    assert "\n" not in why.detail


def test_the_detail_names_the_place_and_the_rule():
    assert rejected(value_of("exit_signalled", signal="x")).detail == (
        "$.signal: not one of the allowed values"
    )
    assert rejected(without("page_viewed", "url")).detail == (
        "$: Object missing required field `url`"
    )
    assert rejected(value_of("product_added", quantity=0)).detail == (
        "$.quantity: Expected `int` >= 1"
    )
