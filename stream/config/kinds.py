"""Sections of the kinds of trigger, made from the parameters that each kind declares.

A new kind brings its settings with it: names, bounds and descriptions stand in its parameters.
"""

from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from annotated_types import Predicate
from msgspec.structs import fields
from pydantic import create_model, model_validator

from stream.config.bounds import BOOLEAN, LIST, TEXT, Allowed, whole
from stream.config.section import Section, means
from stream.domain.kinds import KINDS
from stream.domain.kinds.kind import AnyKind, Kind, ParametersT

UNITS: Final = {"s": "seconds", "ms": "milliseconds", "minor": "minor units"}
SIMPLE: Final = {bool: BOOLEAN, str: TEXT}


def section_of(kind: AnyKind) -> type[Section]:
    """Return the section of a kind's parameters."""

    def check_together(section: Section) -> Section:
        """Refuse what the kind refuses by a ValueError."""
        parameters_of(kind, section)
        return section

    validator: Any = model_validator(mode="after")(check_together)
    hints = get_type_hints(kind.parameters, include_extras=True)
    settings: dict[str, Any] = {
        one.name: (_setting(one.name, hints[one.name]), one.default)
        for one in fields(kind.parameters)
    }
    section: type[Section] = create_model(
        kind.parameters.__name__.replace("Parameters", "Settings"),
        __base__=Section,
        __doc__=kind.parameters.__doc__,
        __validators__={"check_together": validator},
        **settings,
    )
    return section


def parameters_of(kind: Kind[ParametersT, Any], section: Section) -> ParametersT:
    """Return a kind's parameters with the values of its section."""
    return kind.parameters(**dict(section))


def _setting(name: str, hint: Any) -> Any:  # noqa: ANN401 - types as values
    """Return the annotation of a setting, whose bounds msgspec checks."""

    def fits(value: object) -> bool:
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            return False
        return True

    bare, meta = get_args(hint)
    description = meta.description or ""
    rules = [Predicate(fits), means(description)]
    if get_origin(bare) is tuple:
        words = f"a list of whole {_unit(name)} ({description})"
        return Annotated[bare, LIST, Allowed(words), *rules]
    return Annotated[bare, _allowed(name, bare, meta), *rules]


def _allowed(name: str, bare: Any, meta: msgspec.Meta) -> Allowed:  # noqa: ANN401 - likewise
    """Return the words for what a parameter may be."""
    if bare is int:
        return whole(_bound(meta.ge), _bound(meta.le), _unit(name))
    return SIMPLE.get(bare) or Allowed(f"a number from {meta.ge} to {meta.le}")


def _bound(given: float | None) -> int:
    if given is None:
        raise TypeError("a whole number among a kind's parameters needs the bounds ge and le")
    return int(given)


def _unit(name: str) -> str:
    return UNITS.get(name.rpartition("_")[2], "units")


KIND_SECTIONS: Final = {kind.name: section_of(kind) for kind in KINDS}
