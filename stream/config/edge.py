"""`cartwake edge`: its address, the shops' keys and webhooks, the offers that pages show."""

import re
from typing import Annotated, Final, Literal, Self

from annotated_types import Predicate
from pydantic import model_validator

from stream.config.bounds import (
    CURRENCY,
    LIST,
    LISTEN,
    NOT_EMPTY,
    ORIGIN,
    PART,
    PORT,
    SECRET,
    TENANT,
    TEXT,
    Allowed,
    whole,
)
from stream.config.section import Section, means
from stream.config.worker import METRICS_HOST, METRICS_PORT
from stream.domain.consent import PURPOSES, Purpose

HOOKS: Final = (
    "segment",
    "snowplow",
    "shopify",
    "woocommerce",
    "ga4",
    "cloudevents",
    "rudderstack",
    "unomi",
    "bloomreach",
)


def _is_domain(text: str) -> bool:
    # Two labels at least: a browser refuses a cookie for all of a top-level domain.
    return not text or re.fullmatch(r"([a-z0-9-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*", text) is not None


DOMAIN: Final = Allowed("empty, or a domain such as shop.example", Predicate(_is_domain))


class EdgeKey(Section):
    """A write key: public for browsers, secret for servers; ``origins`` are those of its pages.

    ``currency`` is that of its tenant's amounts that come without one; empty: ``edge.currency``.
    With ``vendor_ids`` vendors' clients may use their own ids of visitors: in a browser, and in the
    shop's server for the same visitors.
    """

    key: Annotated[str, PART, SECRET]
    tenant: Annotated[str, TENANT] = "default"
    kind: Literal["browser", "server"]
    origins: Annotated[tuple[Annotated[str, ORIGIN], ...], LIST] = ()
    currency: Annotated[str, CURRENCY] = ""
    vendor_ids: bool = False

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.kind == "browser" and not self.origins:
            raise ValueError("a browser key needs origins")
        return self


class EdgeHook(Section):
    """A vendor's webhook of one shop, and the secret that signs it.

    One app of Shopify's signs for all its shops with one secret: ``domain`` is the shop's, such as
    ``tea.myshopify.com``.
    """

    vendor: Literal[HOOKS]  # type: ignore[valid-type]  # one list, read here and by the routes
    tenant: Annotated[str, TENANT] = "default"
    secret: Annotated[str, PART, SECRET]
    domain: Annotated[str, DOMAIN] = ""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.domain and self.vendor != "shopify":
            raise ValueError("domain is for shopify: no other vendor's webhooks name it")
        return self


class ConsentCategory(Section):
    """A category of a shop's banner: a yes grants these purposes, and a no refuses them."""

    tenant: Annotated[str, TENANT] = "default"
    category: Annotated[str, PART]
    purposes: Annotated[tuple[Purpose, ...], LIST] = ()


class Offer(Section):
    """What the page shows when a trigger of this kind fires."""

    tenant: Annotated[str, TENANT] = "default"
    kind: Literal["exit_intent"] = "exit_intent"
    title: Annotated[str, PART]
    text: Annotated[str, PART]
    button: Annotated[str, PART]
    url: Annotated[str, PART]


def _differ(keys: tuple[EdgeKey, ...]) -> bool:
    return len({key.key for key in keys}) == len(keys)


KEYS: Final = Allowed(
    "a list of different {key, tenant, kind, origins, currency, vendor_ids}, kind browser or"
    " server; a browser key needs origins, such as https://shop.example; currency and vendor_ids"
    " are optional",
    LIST,
    Predicate(_differ),
)
SIGNING_KEYS: Final = Allowed(
    "a list of secrets that are not empty, the newest first", LIST, Predicate(all)
)


def _name_one_shop(hooks: tuple[EdgeHook, ...]) -> bool:
    """Say whether secret and domain together belong to one tenant: nothing else names it."""
    by_secret: dict[tuple[str, str], dict[str, str]] = {}
    for hook in hooks:
        tenants = by_secret.setdefault((hook.vendor, hook.secret), {})
        if tenants.setdefault(hook.domain, hook.tenant) != hook.tenant:
            return False
    return all("" not in one or len(set(one.values())) == 1 for one in by_secret.values())


HOOK_SECRETS: Final = Allowed(
    f"a list of {{vendor, tenant, secret, domain}}, vendor one of {', '.join(HOOKS)}; each tenant"
    " needs a secret of its own, or with one app of Shopify's for several shops the domain that"
    " Shopify gave to its shop, such as tea.myshopify.com; domain is for shopify alone",
    LIST,
    Predicate(_name_one_shop),
)
CONSENT_CATEGORIES: Final = Allowed(
    f"a list of {{tenant, category, purposes}}, purposes of {', '.join(PURPOSES)}; none if the"
    " category needs no consent",
    LIST,
)
OFFERS: Final = Allowed(
    "a list of {tenant, kind, title, text, button, url}, kind exit_intent", LIST
)


class EdgeSettings(Section):
    """Where browsers and shops send events, and which of them may."""

    listen: Annotated[str, LISTEN, means("address of `cartwake edge`")] = "127.0.0.1:8080"
    keys: Annotated[
        tuple[EdgeKey, ...],
        KEYS,
        SECRET,
        means("write keys; `browser`: public, from its origins alone; `server`: secret"),
    ] = ()
    keys_file: Annotated[str, TEXT, means("file with that list, as JSON")] = ""
    signing_keys: Annotated[
        tuple[str, ...], SIGNING_KEYS, SECRET, means("secrets that sign visitor ids and links")
    ] = ()
    signing_keys_file: Annotated[str, TEXT, means("file with that list, as JSON")] = ""
    hooks: Annotated[
        tuple[EdgeHook, ...], HOOK_SECRETS, SECRET, means("vendors' webhooks and their secrets")
    ] = ()
    hooks_file: Annotated[str, TEXT, means("file with that list, as JSON")] = ""
    offers: Annotated[
        tuple[Offer, ...], OFFERS, means("what the page shows to a leaving shopper")
    ] = ()
    consent_categories: Annotated[
        tuple[ConsentCategory, ...],
        CONSENT_CATEGORIES,
        means("what the names of a banner's categories mean; they come before those known anyway"),
    ] = ()
    currency: Annotated[
        str, CURRENCY, means("currency of amounts that come without one; empty: two decimals")
    ] = ""
    cookie_domain: Annotated[
        str,
        DOMAIN,
        means("domain whose hosts share a visitor, such as `shop.example`; empty: one host each"),
    ] = ""
    requests_per_s_per_key: Annotated[
        int, whole(1, 1_000_000, "requests"), means("limit of each edge process")
    ] = 5_000
    requests_per_s_per_address: Annotated[
        int,
        whole(1, 1_000_000, "requests"),
        means("likewise, for browsers and for requests without a key"),
    ] = 200
    records_per_s_per_key: Annotated[
        int,
        whole(1, 1_000_000, "records"),
        means("limit of each edge process; an event counts once, a record once for each KiB"),
    ] = 20_000
    records_per_s_per_address: Annotated[
        int, whole(1, 1_000_000, "records"), means("likewise, for browsers")
    ] = 2_000
    records_per_s_per_visitor: Annotated[
        int, whole(1, 1_000_000, "records"), means("likewise, for browsers")
    ] = 250
    trusted_proxies: Annotated[
        int,
        whole(0, 10, "proxies"),
        means("number of proxies of yours whose `X-Forwarded-For` is trusted"),
    ] = 0
    max_streams: Annotated[
        int,
        whole(1, 1_000_000, "streams"),
        means("pages that wait for actions at one edge process"),
    ] = 10_000
    max_streams_per_address: Annotated[
        int, whole(1, 1_000_000, "streams"), means("likewise, of one address")
    ] = 1_000
    metrics_host: Annotated[str, NOT_EMPTY, METRICS_HOST] = "127.0.0.1"
    metrics_port: Annotated[int, PORT, METRICS_PORT] = 9465
