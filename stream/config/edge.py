"""What the edge is told of shops: their keys, their webhooks, their offers.

The one rule: a value that exists is usable; none of them shows its secret.
"""

import re
from base64 import b64decode
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from stream.config.bounds import Allowed
from stream.domain.events import Tenant
from stream.domain.records import Kind

HOOKS = (
    "segment",
    "snowplow",
    "shopify",
    "ga4",
    "cloudevents",
    "rudderstack",
    "unomi",
    "bloomreach",
)

Text = Annotated[str, Meta(min_length=1, max_length=512)]


class EdgeKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A write key: public for browsers, secret for servers; ``origins`` are those of its pages."""

    key: Text
    tenant: Tenant = "default"
    kind: Literal["browser", "server"]
    origins: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"EdgeKey(tenant={self.tenant!r}, kind={self.kind!r}, origins={self.origins!r})"


class EdgeHook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vendor's webhook of one shop, and the secret that signs it."""

    vendor: Literal[HOOKS]  # type: ignore[valid-type]  # one list, read here and by the routes
    tenant: Tenant = "default"
    secret: Text

    def __repr__(self) -> str:
        return f"EdgeHook(vendor={self.vendor!r}, tenant={self.tenant!r})"


class Endpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where triggers are posted, of which kinds (none: all), and the secrets that sign them."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,64}$")]
    tenant: Tenant = "default"
    url: Text
    secrets: Annotated[tuple[Annotated[str, Meta(pattern="^whsec_.+")], ...], Meta(min_length=1)]
    kinds: tuple[Kind, ...] = ()

    def __repr__(self) -> str:
        return f"Endpoint(name={self.name!r}, tenant={self.tenant!r})"


class Offer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the page shows when a trigger of this kind fires."""

    tenant: Tenant = "default"
    kind: Literal["exit_intent"] = "exit_intent"
    title: Text
    text: Text
    button: Text
    url: Text


def _is_origin(text: str) -> bool:
    url = urlsplit(text)
    return url.scheme in {"http", "https"} and text == f"{url.scheme}://{url.netloc}" != "://"


def _are_keys(keys: tuple[EdgeKey, ...]) -> bool:
    return len({key.key for key in keys}) == len(keys) and all(
        (key.kind == "server" or key.origins) and all(map(_is_origin, key.origins)) for key in keys
    )


def _are_endpoints(endpoints: tuple[Endpoint, ...]) -> bool:
    try:
        return len({one.name for one in endpoints}) == len(endpoints) and all(
            _is_web(one.url) and all(map(_is_secret, one.secrets)) for one in endpoints
        )
    except ValueError:
        return False


def _is_web(text: str) -> bool:
    url = urlsplit(text)
    return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc


def _is_secret(text: str) -> bool:
    return bool(b64decode(text.removeprefix("whsec_"), validate=True))


def _is_listen(text: str) -> bool:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(\d{1,5})", text)
    return match is not None and int(match[2]) < 1 << 16


KEYS = Allowed(
    "a list of different {key, tenant, kind, origins}, kind browser or server; a browser key needs"
    " origins, such as https://shop.example",
    _are_keys,
)
SIGNING_KEYS = Allowed("a list of secrets that are not empty, the newest first", all)
HOOK_SECRETS = Allowed(f"a list of {{vendor, tenant, secret}}, vendor one of {', '.join(HOOKS)}")
OFFERS = Allowed("a list of {tenant, kind, title, text, button, url}, kind exit_intent")
LISTEN = Allowed("host:port (port 0 takes any free one)", _is_listen)
ENDPOINTS = Allowed(
    "a list of {name, url, secrets, tenant, kinds} with different names and secrets such as"
    " whsec_ and base64",
    _are_endpoints,
)
