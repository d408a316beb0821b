"""Deterministic identities: the same facts always give the same id, in every process.

Parts are joined with their lengths, so no choice of tenant or visitor can imitate another.
"""

from hashlib import blake2b

ID_BYTES = 16
DIGEST_BYTES = 8


def _joined(parts: tuple[str | int | None, ...]) -> bytes:
    return "".join([_prefixed(part) for part in parts]).encode()


def _prefixed(part: str | int | None) -> str:
    """Return a part with its kind, after the length of both."""
    if isinstance(part, str):
        return f"{len(part) + 1}:s{part}"
    text = "" if part is None else f"i{part}"
    return f"{len(text)}:{text}"


def make_id(*parts: str | int | None) -> str:
    """Return 32 hex digits that depend on the parts and their order alone.

    Examples
    --------
    >>> make_id("exit_intent", "shop", "v1") == make_id("exit_intent", "shop", "v1")
    True
    >>> make_id("ab", "c") == make_id("a", "bc")
    False
    """
    return blake2b(_joined(parts), digest_size=ID_BYTES).hexdigest()


def digest(text: str) -> bytes:
    """Return 8 bytes that stand for ``text`` where only equality matters."""
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def remembers(digests: bytes, one: bytes) -> bool:
    """Say whether ``one`` is among the concatenated ``digests``.

    Examples
    --------
    >>> remembers(digest("a") + digest("b"), digest("b"))
    True
    >>> remembers(digest("a"), digest("b"))
    False
    """
    if one not in digests:
        return False
    at = digests.find(one)
    while at > 0 and at % DIGEST_BYTES:  # a match across two neighbours is none
        at = digests.find(one, at + 1)
    return at >= 0


def remember(digests: bytes, one: bytes, newest: int) -> bytes:
    """Return ``digests`` with ``one`` at the end, cut to the ``newest`` so many."""
    grown = digests + one
    return grown if len(grown) <= newest * DIGEST_BYTES else grown[-newest * DIGEST_BYTES :]
