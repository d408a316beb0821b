"""Converts the consent of banners and platforms into our purposes.

In doubt it is a no, and only the purposes that a banner asks for are changed. A choice that is
stamped on another event grants nothing; a stamped no to ``personalization`` refuses that event.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from stream.mappers.categories import category_of, framework_purpose, key_of
from stream.mappers.mapped import Fields, Mapped
from stream.mappers.reading import text, without_none

Purposes = dict[str, str]
OwnCategories = Mapping[str, tuple[str, ...]]

NONE: Final[OwnCategories] = MappingProxyType({})

# What a banner of cookies asks for; it does not ask for mails or messages.
SCOPES: Final = ("analytics", "personalization", "ads", "sale_share")
# Beside False: what platforms write for a no.
NOES: Final = frozenset(
    {"false", "no", "0", "off", "denied", "deny", "rejected", "reject", "refused", "withdrawn"}
)

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


class Choices(NamedTuple):
    """Choices by purpose; names of unknown categories, and of those that were refused."""

    purposes: Purposes
    unknown: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


def of_categories(choices: Mapping[str, Any], own: OwnCategories = NONE) -> Choices:
    """Return the choices of a banner's categories; ``own`` are those of the shop's settings.

    Examples
    --------
    >>> of_categories({"Marketing": True, "Analytics": False}).purposes
    {'ads': 'granted', 'analytics': 'denied'}
    >>> sorted(of_categories({"Marketing": False}).purposes)
    ['ads', 'marketing_email', 'marketing_sms']
    >>> of_categories({"Horoscopes": False}).unheard
    ('Horoscopes',)
    """
    purposes: Purposes = {}
    unknown: list[str] = []
    unheard: list[str] = []
    framework: dict[str, bool] = {}
    for name, choice in choices.items():
        is_yes, is_no = choice is True, _is_no(choice)
        number = framework_purpose(name)
        if number is not None and key_of(name) not in own and (is_yes or is_no):
            framework[str(number)] = is_yes
            continue
        category, is_certain = category_of(name, own)
        if not is_certain and (is_yes or category is None):
            (unheard if is_no else unknown).append(name)
        if category is not None and is_yes:
            _add(purposes, category.grants, "granted")
        elif category is not None and is_no:
            _add(purposes, category.refuses, "denied")
    for purpose, status in _of_framework(framework).items():
        _add(purposes, (purpose,), status)
    named = tuple(f"consent category {name}" for name in unknown)
    return Choices(purposes, named, tuple(unheard))


def of_scopes(named: Iterable[str], status: str, own: OwnCategories = NONE) -> Choices:
    """Return the choices of a list of accepted categories.

    What a banner of cookies asks for and is not listed gets ``status``.
    """
    accepted = of_categories(dict.fromkeys(named, True), own)
    purposes = dict.fromkeys(SCOPES, status) | accepted.purposes
    return accepted._replace(purposes=purposes)


def of_refusal(named: Iterable[str], status: str, own: OwnCategories = NONE) -> Choices:
    """Return the refusal of all that a banner asks for, and of the categories that it names."""
    refused = of_categories(dict.fromkeys(named, False), own)
    return refused._replace(purposes=dict.fromkeys([*SCOPES, *refused.purposes], status))


def of_google(given: Mapping[str, Any]) -> Purposes:
    """Return the purposes of Google's Consent Mode v2; one refused signal refuses its purpose.

    Examples
    --------
    >>> of_google({"ad_storage": "granted", "ad_user_data": "DENIED"})
    {'ads': 'denied'}
    """
    purposes: Purposes = {}
    for name, purpose in GOOGLE.items():
        status = str(given.get(name)).lower()
        if status in {"granted", "denied"}:
            _add(purposes, (purpose,), status)
    return purposes


def of_shopify(given: Mapping[str, Any]) -> Purposes:
    """Return the purposes of Shopify's four, by pixel or storefront; null is no choice."""
    named = {
        category: next((given[one] for one in _shopify_names(name) if one in given), None)
        for name, category in SHOPIFY.items()
    }
    return of_categories(named).purposes


def of_rudderstack(given: Mapping[str, Any]) -> dict[str, bool]:
    """Return the choices by category of RudderStack's lists of allowed and denied ids."""
    allowed, denied = given.get("allowedConsentIds"), given.get("deniedConsentIds")
    return dict.fromkeys(_texts(allowed), True) | dict.fromkeys(_texts(denied), False)


def of_unomi(given: Mapping[str, Any], own: OwnCategories) -> Choices:
    """Return the choice of one consent of Apache Unomi: GRANTED, DENIED or REVOKED."""
    status = {"GRANTED": True, "DENIED": False, "REVOKED": False}.get(str(given.get("status")))
    choices = of_categories({text(given.get("typeIdentifier")) or "": status}, own)
    if given.get("status") == "REVOKED":
        return choices._replace(purposes=dict.fromkeys(choices.purposes, "withdrawn"))
    return choices


def of_bloomreach(given: Mapping[str, Any], own: OwnCategories) -> Choices:
    """Return the choice of Bloomreach's consent event: its category, accepted or rejected."""
    status = {"accept": True, "reject": False}.get(str(given.get("action")))
    return of_categories({text(given.get("category")) or "": status}, own)


def refuses_event(choices: Choices, place: str) -> Mapped | None:
    """Return the refusal of an event by the choices stamped on it; None if they do not refuse."""
    if choices.purposes.get("personalization") in {"denied", "withdrawn"}:
        return Mapped(refused=f"{place}: it says no to personalization", unheard=choices.unheard)
    return None


def updated(choices: Choices, source: str, common: Fields, **more: object) -> Mapped:
    """Return the canonical event of a choice with ``more`` fields; no event without a choice."""
    if not choices.purposes:
        nothing = () if choices.unheard else ("consent without a choice",)
        return Mapped(unmapped=choices.unknown or nothing, unheard=choices.unheard)
    fields = {"purposes": choices.purposes, "source": source, **more}
    event = {"type": "consent_updated", **common, **without_none(fields)}
    return Mapped((event,), choices.unknown, unheard=choices.unheard)


def _of_framework(consents: Mapping[str, bool]) -> Purposes:
    """Return a choice for each purpose for which it is certain, by the numbers of IAB's TCF."""
    purposes: Purposes = {}
    for purpose, needs in TCF_NEEDS.items():
        answers = [consents.get(str(number)) for number in needs]
        if False in answers:
            purposes[purpose] = "denied"
        elif all(answers):
            purposes[purpose] = "granted"
    return purposes


def _add(purposes: Purposes, names: Iterable[str], status: str) -> None:
    """Add a choice; a refusal is never overwritten."""
    for name in sorted(names):
        if purposes.get(name, "granted") == "granted":
            purposes[name] = status


def _is_no(choice: object) -> bool:
    return choice is False or (
        isinstance(choice, str | int) and str(choice).strip().lower() in NOES
    )


def _shopify_names(name: str) -> tuple[str, ...]:
    return name, f"{name}Allowed", f"{name}ProcessingAllowed"


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
