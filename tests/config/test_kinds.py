"""Sections of kinds: a kind that is made up here brings its settings with it."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta, Struct
from pydantic import ValidationError

from stream.config.kinds import KIND_SECTIONS, parameters_of, section_of
from stream.config.section import allowed_words
from stream.config.settings import SECTIONS, Settings
from stream.domain.kinds import KINDS
from stream.domain.kinds.kind import Kind


class PriceDropParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a lower price is worth a message."""

    wait_s: Annotated[int, Meta(ge=1, le=60, description="time to wait, seconds")] = 5
    longest_s: Annotated[int, Meta(ge=1, le=60, description="longest wait, seconds")] = 6
    share: Annotated[float, Meta(ge=0, le=1, description="least drop")] = 0.1
    is_loud: Annotated[bool, Meta(description="whether it is announced")] = False
    word: Annotated[str, Meta(max_length=4, description="a short word")] = "drop"
    steps_s: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(description="any")] = (0,)

    def __post_init__(self):
        if self.wait_s > self.longest_s:
            raise ValueError("wait_s must not be above longest_s")


PRICE_DROP = Kind(
    name="price_drop",
    class_="marketing",
    needs=("personalization",),
    description="A price has fallen.",
    parameters=PriceDropParameters,
    memory=Struct,
)
SECTION = section_of(PRICE_DROP)


def test_every_kind_has_a_section_with_its_parameters_and_their_defaults():
    for kind in KINDS:
        section = KIND_SECTIONS[kind.name]
        assert SECTIONS[kind.name] is section
        assert parameters_of(kind, Settings().of_kind(kind.name)) == kind.parameters()
        assert list(section.model_fields) == [
            one.name for one in msgspec.structs.fields(kind.parameters)
        ]


def test_a_new_kind_brings_names_defaults_bounds_and_words():
    assert SECTION() == SECTION(
        wait_s=5, longest_s=6, share=0.1, is_loud=False, word="drop", steps_s=(0,)
    )
    assert SECTION.__doc__ == "When a lower price is worth a message."
    assert {name: allowed_words(field) for name, field in SECTION.model_fields.items()} == {
        "wait_s": "a whole number of seconds from 1 to 60",
        "longest_s": "a whole number of seconds from 1 to 60",
        "share": "a number from 0 to 1",
        "is_loud": "true or false",
        "word": "a text",
        "steps_s": "a list of whole seconds (any)",
    }
    assert SECTION.model_fields["share"].description == "least drop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wait_s", 0),
        ("wait_s", 61),
        ("wait_s", True),
        ("wait_s", 2.0),
        ("wait_s", "2"),
        ("share", 1.1),
        ("share", float("nan")),
        ("share", True),
        ("is_loud", 1),
        ("word", "longer"),
        ("word", 7),
        ("steps_s", [-1]),
        ("steps_s", [True]),
        ("steps_s", 1),
        ("other", 1),
    ],
)
def test_a_value_out_of_a_new_kinds_bounds_is_refused(name, value):
    with pytest.raises(ValidationError) as refused:
        SECTION(**{name: value})
    assert refused.value.errors()[0]["loc"][0] == name


def test_values_of_a_new_kind_that_do_not_fit_each_other_are_refused():
    assert parameters_of(PRICE_DROP, SECTION(wait_s=6)).wait_s == 6
    assert parameters_of(PRICE_DROP, SECTION(wait_s=2, longest_s=3)).longest_s == 3
    with pytest.raises(ValidationError, match="wait_s must not be above longest_s"):
        SECTION(wait_s=4, longest_s=3)


def test_a_number_without_bounds_is_refused_where_the_section_is_made():
    class Unbounded(Struct):
        wait_s: Annotated[int, Meta(ge=1)] = 5

    class Other:
        name, parameters = "other", Unbounded

    with pytest.raises(TypeError, match="needs the bounds ge and le"):
        section_of(Other)
