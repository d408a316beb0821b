import pytest

from stream.mappers import consents


def test_a_yes_to_marketing_is_no_yes_to_mails_and_a_no_is_a_no_to_all():
    assert consents.of_categories({"Marketing": True})[0] == {"ads": "granted"}
    assert set(consents.of_categories({"marketing": False})[0]) == {
        "ads",
        "marketing_email",
        "marketing_sms",
    }


def test_of_two_answers_to_one_purpose_the_refusal_stands():
    assert consents.of_categories({"Ads": False, "Targeting": True})[0] == {"ads": "denied"}
    assert consents.of_categories({"Ads": True, "Targeting": False})[0] == {"ads": "denied"}


@pytest.mark.parametrize("value", [None, "yes", "true", 1, [], {}])
def test_what_is_neither_yes_nor_no_is_no_choice(value):
    assert consents.of_categories({"Analytics": value}) == ({}, (), ())


@pytest.mark.parametrize("value", [False, "false", "No", " denied ", 0, "0", "off", "rejected"])
def test_a_no_is_heard_in_whatever_words_it_comes(value):
    assert consents.of_categories({"Analytics": value}).purposes == {"analytics": "denied"}


EMAIL_TOO = {"ads", "marketing_email", "marketing_sms"}
BANNERS = {
    "OneTrust": (
        {"C0001": set(), "C0002": {"analytics"}, "C0003": {"personalization"}, "C0004": {"ads"}},
        {"C0005": {"ads"}},
    ),
    "Cookiebot": (
        {"Necessary": set(), "Preferences": {"personalization"}, "Statistics": {"analytics"}},
        {"Marketing": EMAIL_TOO},
    ),
    "Usercentrics": (
        {"essential": set(), "functional": {"personalization"}},
        {"marketing": EMAIL_TOO},
    ),
    "Didomi": (
        {"analytics": {"analytics"}, "content_personalization": {"personalization"}},
        {"create_content_profile": {"personalization"}, "select_personalized_ads": {"ads"}},
    ),
    "TCF": ({}, {"IABV2_1": {"personalization", "analytics", "ads"}, "tcf_6": {"personalization"}}),
    "Segment": (
        {"Advertising": {"ads"}, "Functional": {"personalization"}, "DataSharing": {"sale_share"}},
        {"marketingAndAnalytics": {"analytics", *EMAIL_TOO}},
    ),
    "Google": (
        {"analytics_storage": {"analytics"}, "personalization_storage": {"personalization"}},
        {},
    ),
    "somebody's own": (
        {"Functional Cookies": {"personalization"}, "ANALYTICS": {"analytics"}},
        {
            "Personalized offers": {"personalization"},
            "Marketing / preferences": {"personalization", *EMAIL_TOO},
            "targetingAndAdvertising": {"ads"},
        },
    ),
}


@pytest.mark.parametrize(
    ("category", "refuses", "grants_the_same"),
    [
        pytest.param(category, refuses, grants_the_same, id=f"{banner}'s {category}")
        for banner, (same, less) in BANNERS.items()
        for grants_the_same, named in ((True, same), (False, less))
        for category, refuses in named.items()
    ],
)
def test_a_banners_no_is_heard_and_its_yes_grants_no_more_than_it_asks_for(
    category, refuses, grants_the_same
):
    refused, accepted = (consents.of_categories({category: yes}) for yes in (False, True))
    assert refused.purposes == dict.fromkeys(refuses, "denied")
    assert refused.unheard == ()
    granted = set(accepted.purposes)
    assert set(accepted.purposes.values()) <= {"granted"}
    assert granted == refuses if grants_the_same else granted < refuses


def test_the_frameworks_purposes_grant_together_what_one_of_them_does_not():
    told = {"IABV2_1": True, "IABV2_5": True, "IABV2_6": True}
    assert consents.of_categories(told).purposes == {"personalization": "granted"}
    told["create_content_profile"] = False
    assert consents.of_categories(told).purposes == {"personalization": "denied"}


def test_a_refusal_that_nobody_knows_is_told_apart_from_a_yes():
    told = consents.of_categories({"Horoscopes": False, "Tarot": True, "Analytics": True})
    assert told.unheard == ("Horoscopes",)
    assert told.unknown == ("consent category Tarot",)
    assert told.purposes == {"analytics": "granted"}


def test_a_shops_own_map_comes_first_and_counts_both_ways():
    own = {"horoscopes": ("ads", "analytics"), "c0003": ("analytics",), "tarot": ()}
    told = consents.of_categories({"Horoscopes!": False, "Tarot": False}, own)
    assert told == ({"ads": "denied", "analytics": "denied"}, (), ())
    assert consents.of_categories({"C0003": True}, own).purposes == {"analytics": "granted"}


def test_a_banner_changes_only_what_it_asks_for():
    asked = {"analytics", "personalization", "ads", "sale_share"}
    assert set(consents.of_scopes(["preferences"], "denied").purposes) == asked
    assert set(consents.of_refusal([], "withdrawn").purposes) == asked
    named = consents.of_refusal(["marketing_email"], "withdrawn").purposes
    assert named == dict.fromkeys([*asked, "marketing_email"], "withdrawn")
