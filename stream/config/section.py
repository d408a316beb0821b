"""A section is a named group of settings: within its bounds, and without a secret in its repr."""

from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from stream.config.bounds import Allowed
from stream.config.secrecy import without_login


class Section(BaseModel):
    """A frozen value whose fields are checked when it is made: no type is converted."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return what ``repr`` shows: no secret, and no login of a URL."""
        for name, value in super().__repr_args__():
            yield name, without_login(value) if isinstance(value, str) else value


def means(description: str) -> Any:  # noqa: ANN401 - metadata of a type
    """Return the metadata that says what a setting means, for docs/settings.md."""
    return Field(description=description)


def allowed_words(field: FieldInfo) -> str:
    """Return what a setting may be; completes "is not ..."."""
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(get_args(field.annotation))
    return next(one.words for one in field.metadata if isinstance(one, Allowed))
