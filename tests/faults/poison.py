"""Records that can never be processed, class by class, as producers really send them."""

import json
from typing import Any, NamedTuple

from tests.faults.traffic import SECRET


class Poison(NamedTuple):
    """What is written to a topic; ``key`` None stands for none at all."""

    key: bytes | None
    value: bytes | None


def poisons(visitor: str, event: dict[str, Any]) -> list[Poison]:
    """Return one record of each class, made from a good event of a visitor."""
    key, good = visitor.encode(), json.dumps(event).encode()
    return [
        Poison(key, None),
        Poison(key, b""),
        Poison(key, good[:-1]),
        Poison(key, b"\xff\xfe" + good),
        Poison(key, b"\xef\xbb\xbf" + good),
        Poison(key, good + b" " * 70_000),
        Poison(key, SECRET.encode() * 40_000),
        Poison(key, b"[" * 60_000),
        Poison(key, b"[]"),
        Poison(None, good),
        Poison(b"somebody else", good),
        Poison(key, _with(event, at_ms=float("nan"))),
        Poison(key, _with(event, at_ms=1e300)),
        Poison(key, _with(event, at_ms=2**64)),
        Poison(key, good[:-1] + b', "at_ms": ' + b"9" * 5_000 + b"}"),
        Poison(key, _with(event, id={"mail": SECRET})),
        Poison(key, _with(event, type="telepathy_received", mail=SECRET)),
        Poison(key, good[:-1] + rb', "url": "\ud800"}'),
        Poison(SECRET.encode(), _with(event, visitor=SECRET)),
    ]


def _with(event: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(event | changes).encode()
