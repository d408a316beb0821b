"""The signed links of a message: no login is needed to use one.

A link names its message and its one use, and nothing in it can be changed. The first key signs and
every key verifies.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from msgspec import Struct

from stream.domain.records import Trigger

Use = Literal["unsubscribe", "undo", "cart"]
# Links that mail programs cut are of no use: of a larger cart the first lines are told.
MOST_LINES = 50

LinkT = TypeVar("LinkT", bound="MessageLink")


class MessageLink(Struct, array_like=True, frozen=True):
    """Whose message it was."""

    tenant: str
    visitor: str
    trigger_id: str


class UndoLink(MessageLink, array_like=True, frozen=True):
    """Whose unsubscription may be undone, and until when, ms UTC."""

    until_ms: int


class LinkedLine(Struct, array_like=True, frozen=True):
    """So many of one product."""

    product_id: str
    variant: str | None
    quantity: int


class CartLink(MessageLink, array_like=True, frozen=True):
    """A message's cart, as it was then."""

    fingerprint: str
    lines: list[LinkedLine]


class Links:
    """Makes links and believes them.

    Examples
    --------
    >>> links = Links(["a signing key"])
    >>> token = links.sign("unsubscribe", MessageLink("shop", "v1", "7" * 32))
    >>> links.verify("unsubscribe", token, MessageLink).visitor
    'v1'
    >>> links.verify("cart", token, CartLink) is None
    True
    """

    def __init__(self, signing_keys: Iterable[str]) -> None:
        # The library signs with the last.
        self._keys = list(signing_keys)[::-1]

    def sign(self, use: Use, message: MessageLink) -> str:
        """Return the token that stands in the link."""
        token: str = self._serializer(use).dumps(msgspec.to_builtins(message))
        return token

    def verify(self, use: Use, token: str, kind: type[LinkT]) -> LinkT | None:
        """Return what the token says; None where none of our keys has signed it for this use."""
        try:
            return msgspec.convert(self._serializer(use).loads(token), kind)
        except (BadData, msgspec.ValidationError):
            return None

    def _serializer(self, use: Use) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._keys,
            salt=f"cartwake.{use}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )


def message_of(trigger: Trigger) -> MessageLink:
    """Return whose message a trigger asks for."""
    return MessageLink(trigger.tenant, trigger.visitor, trigger.trigger_id)


def cart_of(trigger: Trigger) -> CartLink:
    """Return what restores a trigger's cart."""
    cart = trigger.cart
    if cart is None:  # its kind is about something else: the link restores nothing
        return CartLink(trigger.tenant, trigger.visitor, trigger.trigger_id, "", [])
    lines = [
        LinkedLine(line.product.id, line.product.variant, line.quantity)
        for line in cart.lines[:MOST_LINES]
    ]
    return CartLink(trigger.tenant, trigger.visitor, trigger.trigger_id, cart.fingerprint, lines)
