"""The categories of consent banners, and the purposes that a yes grants and a no refuses.

Known are those of OneTrust, Cookiebot, Usercentrics, Didomi, Segment, Google and IAB's TCF; a shop
adds its own in the settings. In doubt it is a no: a name that only resembles a known one, or that
covers several categories, grants nothing and refuses all that it may mean.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

MARKETING: Final = ("ads", "marketing_email", "marketing_sms")


class Category(NamedTuple):
    """The purposes that a yes grants, and those that a no refuses."""

    grants: tuple[str, ...]
    refuses: tuple[str, ...]


def _named(names: str, grants: tuple[str, ...], refuses: tuple[str, ...]) -> dict[str, Category]:
    return dict.fromkeys(names.split(), Category(grants, refuses))


def _one(names: str, purpose: str) -> dict[str, Category]:
    return _named(names, (purpose,), (purpose,))


CATEGORIES: Final[Mapping[str, Category]] = {
    **_one(
        "analytics analytic analytical analyticsstorage statistics statistic statistical"
        " performance measurement audiencemeasurement c0002",
        "analytics",
    ),
    **_one(
        "personalization personalisation personalized personalised personalizationstorage"
        " contentpersonalization preferences preference functional functionality"
        " functionalitystorage c0003",
        "personalization",
    ),
    **_one(
        "advertising advertisement advertisements ads ad adstorage aduserdata adpersonalization"
        " advertisingpersonalization targeting retargeting remarketing c0004",
        "ads",
    ),
    **_one("datasharing saleofdata saleshare sale donotsell", "sale_share"),
    **_one("email marketingemail emailmarketing", "marketing_email"),
    **_one("sms marketingsms smsmarketing", "marketing_sms"),
    # Accepting "marketing" cookies is not asking for mails.
    **_named("marketing", ("ads",), MARKETING),
    **_named("marketingandanalytics", ("analytics", "ads"), ("analytics", *MARKETING)),
    **_named("social socialmedia c0005", (), ("ads",)),
    # Strictly necessary ones need no consent and give none.
    **_named("necessary essential strictlynecessary required technical security c0001", (), ()),
    **_named("securitystorage unclassified uncategorized", (), ()),
}
# Didomi's names of the framework's purposes.
DIDOMI: Final[Mapping[str, int]] = {
    "cookies": 1,
    "selectbasicads": 2,
    "createadsprofile": 3,
    "selectpersonalizedads": 4,
    "createcontentprofile": 5,
    "selectpersonalizedcontent": 6,
    "measureadperformance": 7,
    "measurecontentperformance": 8,
    "marketresearch": 9,
    "improveproducts": 10,
}
# OneTrust and others name the framework's purposes by their numbers.
NUMBERED: Final = re.compile(r"(?:iab2?v2|tcf(?:v?2)?|iab)[ _-]?(?:purpose[ _-]?)?([0-9]{1,2})")
WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]?[0-9]+")
FILLERS: Final = frozenset(
    {"and", "or", "for", "of", "the", "cookie", "cookies", "consent", "purposes", "category"}
)


def key_of(name: str) -> str:
    """Return the form in which names of categories are compared.

    Examples
    --------
    >>> key_of("Marketing E-Mail"), key_of("C0003")
    ('marketingemail', 'c0003')
    """
    return re.sub("[^a-z0-9]", "", name.lower())


def category_of(name: str, own: Mapping[str, tuple[str, ...]]) -> tuple[Category | None, bool]:
    """Return the category of a name, and whether it is certain; None if nothing is known of it.

    ``own`` are the shop's categories, by ``key_of``.

    Examples
    --------
    >>> category_of("Functional Cookies", {})
    (Category(grants=('personalization',), refuses=('personalization',)), True)
    >>> category_of("Personalized offers", {})
    (Category(grants=(), refuses=('personalization',)), False)
    >>> category_of("Horoscopes", {"horoscopes": ("ads",)})
    (Category(grants=('ads',), refuses=('ads',)), True)
    """
    key = key_of(name)
    if key in own:
        return Category(own[key], own[key]), True
    words = [word.lower() for word in WORDS.findall(name)]
    known = CATEGORIES.get(key) or CATEGORIES.get("".join(w for w in words if w not in FILLERS))
    if known is not None:
        return known, True
    found = [CATEGORIES[word].refuses for word in words if word in CATEGORIES]
    refuses = tuple(dict.fromkeys(purpose for purposes in found for purpose in purposes))
    return (Category((), refuses), False) if refuses else (None, False)


def framework_purpose(name: str) -> int | None:
    """Return the number of the purpose of IAB's TCF that a category names, or None.

    Examples
    --------
    >>> framework_purpose("IABV2_5"), framework_purpose("create_content_profile")
    (5, 5)
    """
    numbered = NUMBERED.fullmatch(name.strip().lower())
    return int(numbered[1]) if numbered else DIDOMI.get(key_of(name))
