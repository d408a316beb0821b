"""Which visitors are never messaged, so that the effect of messages can be measured."""

from hashlib import blake2b

from stream.domain.policy import Holdout


def in_holdout(tenant: str, visitor: str, holdout: Holdout) -> bool:
    """Say whether a visitor is held out: a fixed share, by salted hash of tenant and visitor.

    Examples
    --------
    >>> in_holdout("shop", "v1", Holdout(fraction=0.0))
    False
    >>> in_holdout("shop", "v1", Holdout(fraction=1.0))
    True
    """
    if holdout.fraction <= 0:
        return False
    who = f"{len(tenant)}:{tenant}{visitor}".encode()
    salt = blake2b(holdout.salt.encode(), digest_size=16).digest()
    drawn = int.from_bytes(blake2b(who, key=salt, digest_size=8).digest(), "big")
    return drawn < holdout.fraction * 2**64
