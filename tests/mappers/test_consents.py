import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.mappers import consents, tcf


def string(purposes, *, version=2, service_specific=1):
    bits = f"{version:06b}".ljust(138, "0") + str(service_specific) + "0" * 13
    bits += "".join("1" if n in purposes else "0" for n in range(1, 25)) + "0" * 40
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_string_of_the_framework_says_what_is_consented_to():
    told = tcf.consents(string({1, 5, 6}) + ".IFukWSQh")
    assert {number for number, yes in told.items() if yes} == {"1", "5", "6"}
    purposes = consents.of_tcf({"tcString": string({1, 5, 6})})
    assert purposes == {"personalization": "granted", "analytics": "denied", "ads": "denied"}


@pytest.mark.parametrize(
    "text",
    ["", "A", "CLSYj", "%%%", string({1, 5, 6})[:20], string({1, 5, 6}, version=1), "\u20ac" * 40],
)
def test_what_is_cut_or_damaged_consents_to_nothing(text):
    assert tcf.consents(text) == {}
    assert consents.of_tcf({"tcString": text}) == {}


def test_a_string_that_claims_to_count_elsewhere_too_refuses():
    assert consents.of_tcf({"tcString": string({1, 5, 6}, service_specific=0)}) == {
        "personalization": "denied",
        "analytics": "denied",
        "ads": "denied",
    }


@pytest.mark.parametrize("told", [{"gdprApplies": False}, {"eventStatus": "cmpuishown"}])
def test_where_nothing_was_chosen_there_is_no_choice(told):
    assert consents.of_tcf(told | {"tcString": string({1, 5, 6})}) == {}


@given(st.sets(st.integers(1, 24)))
def test_personalization_needs_storage_and_both_kinds_of_profiles(purposes):
    told = consents.of_tcf({"tcString": string(purposes)})
    assert (told["personalization"] == "granted") == ({1, 5, 6} <= purposes)


def test_a_yes_to_marketing_is_no_yes_to_mails_and_a_no_is_a_no_to_all():
    assert consents.of_categories({"Marketing": True})[0] == {"ads": "granted"}
    assert set(consents.of_categories({"marketing": False})[0]) == set(consents.MARKETING)


def test_of_two_answers_to_one_purpose_the_refusal_stands():
    assert consents.of_categories({"Ads": False, "Targeting": True})[0] == {"ads": "denied"}
    assert consents.of_categories({"Ads": True, "Targeting": False})[0] == {"ads": "denied"}


@pytest.mark.parametrize("value", [None, "yes", 1, [], {}])
def test_what_is_neither_yes_nor_no_is_no_choice(value):
    assert consents.of_categories({"Analytics": value}) == ({}, [])
