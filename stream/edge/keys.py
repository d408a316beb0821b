"""Keys and their rights: public browser keys, secret server keys, and the secrets of webhooks.

A browser key is no secret. It is valid on the shop's own pages only, for the signed visitor only,
and it may not send orders, refunds or feedback of messages.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

from standardwebhooks import Webhook

from stream.config.edge import EdgeHook, EdgeKey
from stream.domain.events import Event, OrderCompleted, OrderRefunded
from stream.domain.feedback import MESSAGES

SERVER_ONLY: Final[frozenset[type[Event]]] = frozenset({OrderCompleted, OrderRefunded, *MESSAGES})

# Vendors that sign the body with HMAC-SHA256 in base64, and the header that has it. All others
# sign as Standard Webhooks has it.
BODY_SIGNATURES: Final = {
    "shopify": "x-shopify-hmac-sha256",
    "woocommerce": "x-wc-webhook-signature",
}
SIGNATURE: Final = "webhook-signature"
SHOPS_DOMAIN: Final = "x-shopify-shop-domain"


class Keys:
    """The keys of all tenants."""

    def __init__(self, keys: Iterable[EdgeKey], hooks: Iterable[EdgeHook]) -> None:
        self._by_digest = {_digest(key.key): key for key in keys}
        self._servers = [key for key in self._by_digest.values() if key.kind == "server"]
        self._hooks = tuple(hooks)
        self.tenants = tuple(dict.fromkeys(key.tenant for key in self._by_digest.values()))
        self.origins = tuple(
            dict.fromkeys(origin for key in self._by_digest.values() for origin in key.origins)
        )

    def origins_of(self, tenant: str) -> frozenset[str]:
        """Return the origins of a tenant's pages."""
        keys = (key for key in self._by_digest.values() if key.tenant == tenant)
        return frozenset(origin for key in keys for origin in key.origins)

    def find(self, text: str) -> EdgeKey | None:
        """Return the key with this text; the time it takes reveals nothing about the keys."""
        return self._by_digest.get(_digest(text))

    def of_origin(self, origin: str) -> EdgeKey | None:
        """Return the browser key of a page's origin; None if its tenant is not clear."""
        found = [key for key in self._by_digest.values() if origin in key.origins]
        return found[0] if len({key.tenant for key in found}) == 1 else None

    def signed_by(self, body: bytes, headers: Mapping[str, str]) -> EdgeKey | None:
        """Return the server key that signed a body by Standard Webhooks, or None."""
        return next((key for key in self._servers if _is_signed(key.key, body, headers)), None)

    def hook(self, vendor: str, body: bytes, headers: Mapping[str, str]) -> EdgeHook | None:
        """Return the vendor's hook with the secret that signed this body, or None.

        A hook with a domain is for webhooks that name it. The name is not signed: an app has one
        secret for all its shops, and only the vendor knows that.
        """
        header, domain = BODY_SIGNATURES.get(vendor), headers.get(SHOPS_DOMAIN, "").lower()
        for hook in self._hooks:
            if (hook.vendor, hook.domain or domain) == (vendor, domain) and (
                _is_signed(hook.secret, body, headers)
                if header is None
                else _is_body_signed(hook.secret, body, headers.get(header, ""))
            ):
                return hook
        return None


def may_send(key: EdgeKey, kind: type[Event]) -> bool:
    """Say whether events of this kind may come with this key."""
    return key.kind == "server" or kind not in SERVER_ONLY


def is_ping(vendor: str, body: bytes) -> bool:
    """Say whether this is WooCommerce's ping: it stores a webhook only if that is answered."""
    return vendor == "woocommerce" and re.fullmatch(rb"webhook_id=\d+", body) is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_signed(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Check a signature as https://www.standardwebhooks.com says; it is valid for five minutes."""
    try:
        Webhook(secret if secret.startswith("whsec_") else secret.encode()).verify(
            body, dict(headers), json_parse=False
        )
    except Exception:  # noqa: BLE001 - a broken header raises all kinds of errors in the library
        return False
    return True


def _is_body_signed(secret: str, body: bytes, given: str) -> bool:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(expected), given.encode("utf-8", "replace"))
