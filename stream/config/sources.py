"""Where settings come from: variables, the TOML file, and the files that settings name.

Each source refuses what it cannot read, in one line that says where that is.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource

from stream.config.named_files import first_line, whole_text
from stream.config.settings import KNOWN, SECTIONS
from stream.errors import UsageError

PREFIX: Final = "CARTWAKE_"
CONFIG: Final = "CARTWAKE_CONFIG"
FILE: Final = "_file"
AUTHORITY: Final = "_cafile"

Values = dict[str, dict[str, Any]]


class Variables(EnvSettingsSource):
    """The environment: ``CARTWAKE_<SECTION>__<NAME>``, JSON unless the setting is a text."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings, env_prefix=PREFIX, env_nested_delimiter="__")
        self._names = {_setting(name): name for name in environ if _is_setting(name)}
        self.env_vars = {name.lower(): environ[name] for name in self._names.values()}

    def field_is_complex(self, field: FieldInfo) -> bool:
        """Return whether a variable's text is JSON."""
        return not _is_text(field)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> object:
        """Return what a variable's text means."""
        del field_name, field
        return _from_json(value)

    def where(self, setting: str) -> str:
        """Return where people find the setting."""
        return f"{self._names[setting]}: {setting}"


class TomlFile(InitSettingsSource):
    """The TOML file; none: nothing."""

    def __init__(self, settings: type[BaseSettings], file: Path | None) -> None:
        super().__init__(settings, _checked(file, _document(file)) if file else {})
        self._file = file

    def where(self, setting: str) -> str:
        """Return where people find the setting."""
        return f"{self._file}: {setting}"


class NamedFiles(InitSettingsSource):
    """The files that other settings name: secrets, and authorities, which must be there."""

    def __init__(self, settings: type[BaseSettings]) -> None:
        super().__init__(settings, {})

    def __call__(self) -> Values:
        """Return the secrets that stand in files."""
        found: Values = {}
        for section, names in self.current_state.items():
            for name, file in names.items():
                setting = f"{section}.{name}"
                if name.endswith(AUTHORITY) and file:
                    first_line(Path(file), setting)
                elif name.endswith(FILE) and file:
                    secret = name.removesuffix(FILE)
                    if names.get(secret):
                        raise UsageError(f"{section}.{secret} and {setting} exclude each other")
                    found.setdefault(section, {})[secret] = _in_file(Path(file), setting)
        return found

    def where(self, setting: str) -> str:
        """Return where people find the setting."""
        return f"{setting}{FILE}"


def _in_file(file: Path, setting: str) -> object:
    """Return the secret in a file: the first line of a text, else the whole file, which is JSON."""
    if _is_text(KNOWN[setting.removesuffix(FILE)]):
        return first_line(file, setting)
    return _from_json(whole_text(file, setting))


def _is_text(field: FieldInfo) -> bool:
    return field.annotation is str or get_origin(field.annotation) is Literal


def _from_json(text: str) -> object:
    """Return what a text means; one that is not JSON stays a text, which is then refused."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


def _is_setting(variable: str) -> bool:
    """Return whether a variable sets something; one without two underscores does not."""
    if not variable.startswith(PREFIX) or "__" not in variable:
        return False
    if _setting(variable) not in KNOWN:
        near = PREFIX + _nearest(_setting(variable)).replace(".", "__").upper()
        raise UsageError(f"{variable}: there is no such setting; the nearest is {near}")
    return True


def _setting(variable: str) -> str:
    return variable.removeprefix(PREFIX).replace("__", ".", 1).lower()


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: is not TOML: {error}") from error


def _checked(file: Path, document: dict[str, Any]) -> Values:
    """Return a document whose names are all known."""
    for section, names in document.items():
        if not isinstance(names, dict):
            near = _nearest(f".{section}")
            raise UsageError(f"{file}: {section} stands outside a section; the nearest is {near}")
        if section not in SECTIONS:
            near = get_close_matches(section, SECTIONS, 1, 0)[0]
            raise UsageError(f"{file}: there is no section [{section}]; the nearest is [{near}]")
        for setting in _unknown(section, names):
            near = _nearest(setting)
            raise UsageError(f"{file}: there is no setting {setting}; the nearest is {near}")
    return document


def _unknown(section: str, names: Mapping[str, object]) -> Iterator[str]:
    return (f"{section}.{name}" for name in names if f"{section}.{name}" not in KNOWN)


def _nearest(setting: str) -> str:
    """Return the known setting most like an unknown one, of the same section if one is close."""
    own = [known for known in KNOWN if known.startswith(setting.partition(".")[0] + ".")]
    return (get_close_matches(setting, own, 1, 0.7) or get_close_matches(setting, KNOWN, 1, 0))[0]
