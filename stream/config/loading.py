"""Reads settings: variables win over the TOML file, and a wrong setting ends the command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stream.config.secrecy import shown
from stream.config.section import allowed_words
from stream.config.settings import KNOWN, Settings
from stream.config.sources import CONFIG, PREFIX, NamedFiles, TomlFile, Variables
from stream.errors import UsageError

__all__ = ["CONFIG", "PREFIX", "config_file", "load"]

Sources = tuple[Variables, TomlFile, NamedFiles]


class _Loaded(Settings, BaseSettings):
    """Settings that are read from the sources that it is made with, the first one winning."""

    model_config = SettingsConfigDict(strict=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return our sources in place of pydantic's."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        sources: Sources = init_settings()["sources"]
        return sources


def config_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file that is named, on the command line or by the environment."""
    return path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file, if one is named, overridden by those of the environment.

    Raises
    ------
    UsageError
        A file cannot be read, a name is unknown, or a value is out of its bounds.
    """
    sources: Sources = (
        Variables(_Loaded, environ),
        TomlFile(_Loaded, config_file(path, environ)),
        NamedFiles(_Loaded),
    )
    given: dict[str, Any] = {"sources": sources}
    try:
        return Settings(**dict(_Loaded(**given)))
    except ValidationError as error:
        raise _refusal(error, sources) from None


def _refusal(error: ValidationError, sources: Sources) -> UsageError:
    """Return the line about the first value that is not allowed."""
    first = error.errors(include_url=False, include_input=False)[0]
    section, *names = map(str, first["loc"])
    # What a kind itself refuses is a text that begins with the name of one of its settings.
    text = "" if names else str(first["ctx"]["error"])
    name = names[0] if names else text.partition(" ")[0]
    setting = f"{section}.{name}"
    for source in sources:
        values = source().get(section, {})
        if name in values:
            detail = text or _not_allowed(setting, values[name])
            return UsageError(f"{source.where(setting)}: {detail}")
    return UsageError(f"{section}: {text}")


def _not_allowed(setting: str, value: object) -> str:
    field = KNOWN[setting]
    return f"{shown(value) if field.repr else 'what is given'} is not {allowed_words(field)}"
