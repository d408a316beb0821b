import pytest

from stream.domain.consent import Choice, choices, granted, is_newer, permits, standing, stands
from stream.domain.context import FoldOutcome
from stream.domain.events import Purposes
from tests.domain.build import DAY, HOUR, MINUTE, Shopper, a_shopper

GRANTED = Choice("granted", 100, since_ms=100)
UNTIL = Choice("granted", 100, since_ms=100, valid_until_ms=200)
PURPOSES = Purposes.__struct_fields__


@pytest.mark.parametrize(
    ("choice", "at_ms", "allowed"),
    [
        (None, 100, False),
        (Choice("denied", 0), 100, False),
        (Choice("withdrawn", 0), 100, False),
        (Choice("expired", 0, valid_until_ms=200), 100, False),
        (GRANTED, 99, False),
        (GRANTED, 100, True),
        (GRANTED, 10**15, True),
        (UNTIL, 200, True),
        (UNTIL, 201, False),
    ],
)
def test_everything_is_refused_unless_granted(choice, at_ms, allowed):
    consent = {} if choice is None else {"ads": choice}
    assert permits(consent, "ads", at_ms) is allowed


@pytest.mark.parametrize(
    ("choice", "at_ms", "standing"),
    [
        (None, 100, False),
        (Choice("denied", 0), 100, False),
        (Choice("withdrawn", 0), 100, False),
        (Choice("expired", 0, valid_until_ms=200), 100, False),
        (GRANTED, 99, True),
        (UNTIL, 200, True),
        (UNTIL, 201, False),
    ],
)
def test_a_grant_stands_until_it_lapses_even_if_it_begins_in_a_moment(choice, at_ms, standing):
    consent = {} if choice is None else {"ads": choice}
    assert stands(consent, "ads", at_ms) is standing


@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_purpose_is_granted_for_itself_alone(purpose):
    consent = {purpose: GRANTED}
    assert [one for one in PURPOSES if permits(consent, one, 100)] == [purpose]


@pytest.mark.parametrize(
    ("status", "at_ms", "known", "replaces"),
    [
        ("granted", 100, None, True),
        ("denied", 100, None, True),
        ("granted", 101, Choice("denied", 100), True),
        ("denied", 101, GRANTED, True),
        ("denied", 100, GRANTED, True),
        ("withdrawn", 100, GRANTED, True),
        ("granted", 100, Choice("denied", 100), False),
        ("granted", 100, Choice("withdrawn", 100), False),
        ("granted", 99, Choice("denied", 100), False),
        ("denied", 99, GRANTED, False),
        ("withdrawn", 99, GRANTED, False),
    ],
)
def test_the_latest_choice_counts_and_at_equal_times_the_refusal(status, at_ms, known, replaces):
    assert is_newer(status, at_ms, known) is replaces


@pytest.mark.parametrize(
    ("known", "at_ms", "since_ms"),
    [
        (None, 300, 300),
        (GRANTED, 300, 100),
        (UNTIL, 150, 100),
        (UNTIL, 200, 100),
        (UNTIL, 201, 201),
        (Choice("denied", 100), 300, 300),
        (Choice("withdrawn", 100), 300, 300),
        (Choice("expired", 100, valid_until_ms=200), 300, 300),
    ],
)
def test_a_renewal_keeps_the_earlier_start_unless_the_grant_was_broken(known, at_ms, since_ms):
    assert granted(at_ms, 900, known) == Choice("granted", at_ms, since_ms, 900)


def test_an_update_lists_the_purposes_that_it_names():
    update = Purposes(ads="granted", personalization="denied")
    assert choices(update) == [("personalization", "denied"), ("ads", "granted")]


def test_where_consent_stands_is_told_by_purpose_in_a_fixed_order():
    consent = {"personalization": GRANTED, "ads": Choice("denied", 0)}
    assert list(standing(consent).items()) == [("ads", "denied"), ("personalization", "granted")]


def statuses(shopper):
    return standing(shopper.state.consent)


def test_a_grant_counts_for_events_from_its_own_moment_on():
    ann = Shopper()
    ann.grants(at=100)
    assert ann.adds(at=99, read=100) is FoldOutcome.REFUSED
    assert ann.adds(at=100) is FoldOutcome.APPLIED


def test_a_grant_counts_up_to_and_including_its_last_moment():
    ann = Shopper()
    ann.grants(at=0, until=200)
    assert ann.adds(at=200) is FoldOutcome.APPLIED
    assert ann.adds(at=201, read=200) is FoldOutcome.REFUSED


def test_a_renewal_lets_events_before_it_count():
    ann = Shopper()
    ann.grants(at=0)
    ann.grants(at=100)
    assert ann.adds(at=50, read=100) is FoldOutcome.APPLIED


def test_a_renewal_at_the_last_moment_keeps_what_is_known():
    ann = a_shopper()
    ann.grants(at=10, until=200)
    ann.adds(at=20)
    ann.grants(at=200)
    assert ann.cart == {"p1": 1}
    assert ann.adds(at=150, read=300) is FoldOutcome.APPLIED


def test_a_renewal_after_the_last_moment_starts_anew():
    ann = Shopper()
    ann.grants(at=0, until=200)
    ann.adds(at=20)
    ann.grants(at=201)
    assert ann.behaviour is None
    assert ann.adds(at=150, read=300) is FoldOutcome.REFUSED


def test_a_renewal_that_is_read_before_the_lapse_was_noticed_starts_anew_too():
    ann = Shopper(live=True)
    ann.grants(at=0, until=200)
    ann.adds(at=20)
    ann.grants(at=201)
    assert ann.behaviour is None


def test_the_newest_choice_says_how_long_a_grant_lasts():
    ann = a_shopper()
    ann.grants(at=10, until=200)
    ann.grants(at=20, until=300)
    assert ann.adds(at=300) is FoldOutcome.APPLIED
    ann.waits(until=300)
    assert ann.behaviour is None


@pytest.mark.parametrize("status", ["denied", "withdrawn"])
def test_a_refusal_counts_for_everything_from_the_moment_it_is_read(status):
    ann = a_shopper()
    ann.chooses(at=50 * MINUTE, read=0, personalization=status)
    assert ann.adds(at=MINUTE) is FoldOutcome.REFUSED
    assert ann.state.behaviour is None


def test_an_older_choice_read_late_is_counted_and_ignored():
    ann = a_shopper()
    ann.grants(at=100)
    ann.adds(at=110)
    assert ann.refuses(at=99, read=99) is FoldOutcome.STALE
    assert ann.cart == {"p1": 1}
    ann.refuses(at=130)
    assert ann.grants(at=129, read=140) is FoldOutcome.STALE
    assert statuses(ann) == {"marketing_email": "withdrawn", "personalization": "withdrawn"}


@pytest.mark.parametrize("slow", [1, 2 * MINUTE, DAY, 9 * DAY])
@pytest.mark.parametrize("status", ["denied", "withdrawn"])
def test_a_refusal_by_a_slow_clock_wins_over_an_older_grant(slow, status):
    ann = Shopper()
    ann.grants(at=DAY)
    ann.adds(at=DAY + MINUTE)
    told = ann.chooses(at=DAY + HOUR - slow, read=DAY + HOUR, personalization=status)
    assert told is FoldOutcome.APPLIED
    assert ann.behaviour is None
    # And over grants from before its record that are read after it.
    assert ann.grants("personalization", at=DAY + HOUR - 1, read=2 * DAY) is FoldOutcome.STALE
    assert ann.grants("personalization", at=DAY + HOUR, read=2 * DAY) is FoldOutcome.STALE
    assert statuses(ann)["personalization"] == status
    assert ann.grants("personalization", at=DAY + HOUR + 1, read=2 * DAY) is FoldOutcome.APPLIED


def test_a_refusal_by_a_fast_clock_counts_from_its_own_time():
    ann = Shopper()
    ann.chooses(at=MINUTE, read=0, ads="denied")
    assert ann.chooses(at=MINUTE - 1, read=MINUTE, ads="granted") is FoldOutcome.STALE


def test_a_refusal_that_is_repeated_changes_nothing():
    ann = Shopper()
    ann.refuses(at=100, id="no")
    ann.grants(at=200)
    ann.adds(at=300)
    assert ann.refuses(at=100, read=400, id="no") is FoldOutcome.DUPLICATE
    assert ann.cart == {"p1": 1}


def test_a_refusal_by_a_slow_clock_counts_after_an_erasure_and_a_new_grant():
    ann = a_shopper()
    ann.is_erased(at=HOUR)
    ann.grants(at=HOUR + 1)
    told = ann.chooses(at=HOUR - MINUTE, read=HOUR + 2, personalization="withdrawn", ads="granted")
    assert told is FoldOutcome.APPLIED
    assert statuses(ann) == {"marketing_email": "granted", "personalization": "withdrawn"}


def test_a_refusal_from_before_an_erasure_leaves_the_visitor_unknown():
    ann = a_shopper()
    ann.is_erased(at=HOUR)
    assert ann.refuses(at=HOUR - MINUTE, read=HOUR + 2) is FoldOutcome.REFUSED
    assert ann.state.consent == {}


@pytest.mark.parametrize("first", ["granted", "denied"])
def test_of_two_choices_at_the_same_time_the_refusal_counts_in_either_order(first):
    ann = Shopper()
    second = {"granted": "denied", "denied": "granted"}[first]
    ann.chooses(at=100, personalization=first)
    ann.chooses(at=100, personalization=second)
    assert statuses(ann) == {"personalization": "denied"}


def test_a_choice_is_older_or_newer_per_purpose():
    ann = Shopper()
    ann.chooses(at=100, ads="denied")
    assert ann.chooses(at=50, read=100, ads="granted", analytics="granted") is FoldOutcome.APPLIED
    assert statuses(ann) == {"ads": "denied", "analytics": "granted"}


def test_a_purpose_that_an_update_does_not_name_keeps_its_choice():
    ann = a_shopper()
    ann.chooses(at=10, ads="denied")
    assert statuses(ann)["personalization"] == "granted"


def test_the_passing_of_the_last_moment_is_remembered_as_expired():
    ann = Shopper()
    ann.grants("personalization", at=0, until=DAY)
    ann.waits(until=DAY - 1)
    assert statuses(ann) == {"personalization": "granted"}
    ann.waits(until=DAY)
    assert statuses(ann) == {"personalization": "expired"}


def test_a_new_grant_after_a_refusal_starts_at_its_own_moment():
    ann = a_shopper()
    ann.refuses(at=100)
    ann.grants(at=200)
    assert ann.adds(at=199, read=200) is FoldOutcome.REFUSED
    assert ann.adds(at=200) is FoldOutcome.APPLIED


@pytest.mark.parametrize("others", [{}, {"analytics": "granted", "ads": "granted"}])
def test_without_personalization_only_the_consent_record_is_kept(others):
    ann = Shopper()
    ann.chooses(at=0, marketing_email="granted", **others)
    assert ann.adds(at=10) is FoldOutcome.REFUSED
    assert ann.leaves(at=20) is FoldOutcome.REFUSED
    assert ann.behaviour is None
    assert ann.world.effects == []
