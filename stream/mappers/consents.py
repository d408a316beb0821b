"""Converts the consent of banners and platforms into our purposes.

In doubt it is a no. A category that covers several of our purposes grants the least of them and
refuses all: accepting "marketing" cookies is not asking for mails.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stream.mappers import tcf
from stream.mappers.mapped import Fields, Mapped
from stream.mappers.reading import record, text, without_none

Purposes = dict[str, str]

MARKETING: Final = ("ads", "marketing_email", "marketing_sms")
# The purposes that a yes to a category grants. Strictly necessary ones need and give no consent.
GRANTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("analytics", "statistics", "performance", "measurement"), ("analytics",)),
    **dict.fromkeys(
        ("personalization", "personalisation", "preferences", "functional", "functionality"),
        ("personalization",),
    ),
    **dict.fromkeys(("advertising", "ads", "targeting", "marketing", "retargeting"), ("ads",)),
    **dict.fromkeys(("datasharing", "saleofdata", "saleshare", "sale"), ("sale_share",)),
    **dict.fromkeys(("email", "marketingemail", "emailmarketing"), ("marketing_email",)),
    **dict.fromkeys(("sms", "marketingsms", "smsmarketing"), ("marketing_sms",)),
    **dict.fromkeys(("necessary", "essential", "strictlynecessary", "required"), ()),
}
REFUSES: Final[Mapping[str, tuple[str, ...]]] = {**GRANTS, "marketing": MARKETING}
SCOPES: Final = ("analytics", "personalization", "marketing", "datasharing")

GOOGLE: Final[Mapping[str, str]] = {
    "analytics_storage": "analytics",
    "personalization_storage": "personalization",
    "ad_storage": "ads",
    "ad_user_data": "ads",
    "ad_personalization": "ads",
}
SHOPIFY: Final[Mapping[str, str]] = {
    "analytics": "analytics",
    "preferences": "personalization",
    "marketing": "marketing",
    "saleOfData": "datasharing",
}
TCF_NEEDS: Final[Mapping[str, tuple[int, ...]]] = {
    # 1 is storing anything at all; 5 and 6 are profiles for content, 3 and 4 for advertising.
    "personalization": (1, 5, 6),
    "analytics": (1, 8),
    "ads": (1, 2, 3, 4),
}


def of_categories(choices: Mapping[str, Any]) -> tuple[Purposes, list[str]]:
    """Return the purposes of a banner's categories, and the names of unknown categories.

    Examples
    --------
    >>> of_categories({"Marketing": True, "Analytics": False})[0]
    {'ads': 'granted', 'analytics': 'denied'}
    >>> sorted(of_categories({"Marketing": False})[0])
    ['ads', 'marketing_email', 'marketing_sms']
    """
    purposes: Purposes = {}
    unknown = []
    for category, choice in choices.items():
        name = re.sub("[^a-z]", "", category.lower())
        if name not in GRANTS:
            unknown.append(f"consent category {category}")
        elif choice is True:
            _add(purposes, GRANTS[name], "granted")
        elif choice is False:
            _add(purposes, REFUSES[name], "denied")
    return purposes, unknown


def of_scopes(accepted: Iterable[str], status: str) -> Purposes:
    """Return the purposes of a list of accepted categories; others are refused."""
    names = {re.sub("[^a-z]", "", scope.lower()) for scope in accepted}
    granted = {one for name in names for one in GRANTS.get(name, ())}
    purposes: Purposes = {}
    for name in SCOPES:
        if not granted & set(GRANTS[name]):
            _add(purposes, REFUSES[name], status)
    _add(purposes, granted, "granted")
    return purposes


def of_google(given: Mapping[str, Any]) -> Purposes:
    """Return the purposes of Google's Consent Mode v2; one refused signal refuses its purpose.

    Examples
    --------
    >>> of_google({"ad_storage": "granted", "ad_user_data": "denied"})
    {'ads': 'denied'}
    """
    purposes: Purposes = {}
    for name, purpose in GOOGLE.items():
        if given.get(name) in ("granted", "denied"):
            _add(purposes, (purpose,), given[name])
    return purposes


def of_shopify(given: Mapping[str, Any]) -> Purposes:
    """Return the purposes of Shopify's four, by pixel or storefront; null is no choice."""
    named = {
        category: next((given[one] for one in _shopify_names(name) if one in given), None)
        for name, category in SHOPIFY.items()
    }
    return of_categories(named)[0]


def of_rudderstack(given: Mapping[str, Any]) -> tuple[Purposes, list[str]]:
    """Return the purposes of RudderStack's lists of allowed and denied ids."""
    allowed, denied = given.get("allowedConsentIds"), given.get("deniedConsentIds")
    choices = dict.fromkeys(_texts(allowed), True) | dict.fromkeys(_texts(denied), False)
    return of_categories(choices)


def of_unomi(given: Mapping[str, Any]) -> tuple[Purposes, list[str]]:
    """Return the purpose of one consent of Apache Unomi: GRANTED, DENIED or REVOKED."""
    status = text(given.get("status"))
    purposes, unknown = of_categories(
        {text(given.get("typeIdentifier")) or "": status == "GRANTED"}
    )
    if status == "REVOKED":
        purposes = dict.fromkeys(purposes, "withdrawn")
    return (purposes if status in {"GRANTED", "DENIED", "REVOKED"} else {}), unknown


def of_bloomreach(given: Mapping[str, Any]) -> tuple[Purposes, list[str]]:
    """Return the purpose of Bloomreach's consent event: its category, accepted or rejected."""
    action = given.get("action")
    known = {"accept": True, "reject": False}
    return of_categories({text(given.get("category")) or "": known.get(str(action))})


def of_tcf(given: Mapping[str, Any]) -> Purposes:
    """Return the purposes of ``__tcfapi``'s answer; a legitimate interest is no consent."""
    if given.get("gdprApplies") is False or given.get("eventStatus") == "cmpuishown":
        return {}
    listed = record(record(given.get("purpose")).get("consents"))
    known = listed or tcf.consents(text(given.get("tcString"), most=tcf.CORE_CHARACTERS) or "")
    if not known:
        return {}
    return {
        purpose: "granted" if all(known.get(str(n)) is True for n in needs) else "denied"
        for purpose, needs in TCF_NEEDS.items()
    }


def updated(
    purposes: Purposes, source: str, common: Fields, unknown: Iterable[str] = (), **more: object
) -> Mapped:
    """Return the canonical event of a choice with ``more`` fields; no event without a choice."""
    names = tuple(unknown)
    if not purposes:
        return Mapped(unmapped=names or ("consent without a choice",))
    fields = {"purposes": purposes, "source": source, **more}
    return Mapped(({"type": "consent_updated", **common, **without_none(fields)},), names)


def _add(purposes: Purposes, names: Iterable[str], status: str) -> None:
    """Add a choice; a refusal is never overwritten."""
    for name in sorted(names):
        if purposes.get(name, "granted") == "granted":
            purposes[name] = status


def _shopify_names(name: str) -> tuple[str, ...]:
    return name, f"{name}Allowed", f"{name}ProcessingAllowed"


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
