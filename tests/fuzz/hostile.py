"""Hypothesis strategies that make hostile bytes of good ones."""

import json

from hypothesis import strategies as st

# What has broken readers of JSON, CSV, mail and HTTP before.
TEXTS = (
    *("", " ", "\x00", "\x0b", "\r\nBcc: x@y.example", "\u2028", "\u202e", "\ud800", "\ufeff"),
    *("é" * 200, "x" * 70_000, "anna@shop.example", "anna@[shop.example", "..", "../../etc"),
    *("1e9999999", "-0", "12,90", "NaN", "\uff19", "en-US@posix", "de_DE.UTF-8", "//cdn/a.png"),
    *("javascript:alert(1)", "{{ 7 * 7 }}", "<mj-raw>", "]]>", "%00", "=1+1", '"', "\\"),
)
NUMBERS = (-1, 0, 0.5, 2**31, 2**53, 2**53 + 1, 2**64, 10**400, -(10**400), 1e308, 5e-324)
VALUES = (None, True, False, [], {}, [[]], [None], {"": None}, *NUMBERS, *TEXTS)
SNIPPETS = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\r\n", b"\x0b", b'"', b",", b"\n", b"="),
    *(b"[" * 990, b"[" * 100_000, b'{"a":' * 990, b"1e9999999", b"-" * 309, b"9" * 309),
    *(b"%00", b".", b"..", b"NaN", b"'", b"\xef\xbb\xbf", b"\x1b[31m", b"{{", b"<!--"),
)


def _places(value, path=()):
    """Yield the path of every value inside a JSON value, the whole included."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, one in inner:
        yield from _places(one, (*path, name))


def _replaced(value, path, new):
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copied


def _without(value, path):
    inside = value.copy()
    if len(path) == 1:
        del inside[path[0]]
    else:
        inside[path[0]] = _without(value[path[0]], path[1:])
    return inside


def _renamed(value, path, name):
    """Return the value under another name, or twice in an array."""
    if len(path) > 1:
        return _replaced(value, path[:1], _renamed(value[path[0]], path[1:], name))
    if isinstance(value, list):
        return [*value, value[path[0]]]
    return {name if one == path[0] else one: inner for one, inner in value.items()}


@st.composite
def damaged_json(draw, seeds):
    """Draw the bytes of a JSON value of which one to four parts are hostile, gone or renamed."""
    value = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(_places(value))))
        what = draw(st.sampled_from(["replace", "replace", "replace", "drop", "rename"]))
        if what == "replace" or not path:
            value = _replaced(value, path, draw(st.sampled_from(VALUES)))
        elif what == "drop":
            value = _without(value, path)
        else:
            value = _renamed(value, path, draw(st.sampled_from(TEXTS[:12])))
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def damaged_bytes(draw, seeds):
    """Draw good bytes with one to four parts cut, doubled or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(data)))
        last = draw(st.integers(first, min(len(data), first + 40)))
        part = draw(st.sampled_from([b"", data[first:last] * 2, *SNIPPETS]))
        data = data[:first] + part + data[last:]
    return data


def inputs(seeds):
    """Return the strategy for inputs like these good ones."""
    texts = [seed for seed in seeds if _is_json(seed)]
    ways = [damaged_bytes(seeds), st.binary(max_size=100)]
    if texts:
        ways += [damaged_json(texts)] * 3
    return st.one_of(ways)


def _is_json(seed):
    try:
        json.loads(seed)
    except ValueError:
        return False
    return True
