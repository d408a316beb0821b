"""Reads settings: the TOML file that is named, then the environment, which wins.

The one rule: nothing is passed over. What is not known is refused with the nearest that is, and
files that settings name are looked for before anything connects.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_origin

from stream.config.named_files import first_line
from stream.config.settings import KNOWN, SECTIONS, Settings, accepted
from stream.errors import UsageError

PREFIX: Final = "CARTWAKE_"
CONFIG: Final = "CARTWAKE_CONFIG"


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
    file = config_file(path, environ)
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting, value, where in (*(_in_file(file) if file else ()), *_in_environment(environ)):
        section, name = setting.split(".")
        values[section][name] = accepted(setting, value, where)
    _follow_files("kafka", "sasl_password", values["kafka"])
    _follow_files("redis", "password", values["redis"])
    _follow_files("emailer", "smtp_password", values["emailer"], "smtp_cafile")
    _follow_files("emailer", "directory_token", values["emailer"], "smtp_cafile")
    sections: dict[str, Any] = {name: cls(**values[name]) for name, cls in SECTIONS.items()}
    return Settings(**sections)


def _in_file(file: Path) -> Iterator[tuple[str, object, str]]:
    """Yield setting, value and where it stands, for each setting of a TOML file."""
    for section, names in _document(file).items():
        if not isinstance(names, dict):
            near = _nearest(f".{section}")
            raise UsageError(f"{file}: {section} stands outside a section; the nearest is {near}")
        if section not in SECTIONS:
            near = get_close_matches(section, SECTIONS, 1, 0)[0]
            raise UsageError(f"{file}: there is no section [{section}]; the nearest is [{near}]")
        for name, value in names.items():
            setting = f"{section}.{name}"
            if setting not in KNOWN:
                near = _nearest(setting)
                raise UsageError(f"{file}: there is no setting {setting}; the nearest is {near}")
            yield setting, value, f"{file}: {setting}"


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: is not TOML: {error}") from error


def _in_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Yield likewise what variables set; one without two underscores is not a setting."""
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or "__" not in variable:
            continue
        setting = variable.removeprefix(PREFIX).replace("__", ".", 1).lower()
        if setting not in KNOWN:
            near = PREFIX + _nearest(setting).replace(".", "__").upper()
            raise UsageError(f"{variable}: there is no such setting; the nearest is {near}")
        yield setting, _parsed(setting, text), f"{variable}: {setting}"


def _nearest(setting: str) -> str:
    """Return the known setting most like an unknown one, of the same section if one is close."""
    own = [known for known in KNOWN if known.startswith(setting.partition(".")[0] + ".")]
    return (get_close_matches(setting, own, 1, 0.7) or get_close_matches(setting, KNOWN, 1, 0))[0]


def _parsed(setting: str, text: str) -> object:
    """Return what the text of a variable means for this setting."""
    kind, _ = KNOWN[setting]
    if kind is str or get_origin(kind) is Literal:
        return text
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


def _follow_files(
    section: str, password: str, values: dict[str, Any], authority: str = "ssl_cafile"
) -> None:
    """Take the password from its file, and look for the authority's, before anything connects."""
    setting = f"{section}.{password}"
    if file := values.get(f"{password}_file"):
        if values.get(password):
            raise UsageError(f"{setting} and {setting}_file exclude each other")
        values[password] = first_line(Path(file), f"{setting}_file")
    if file := values.get(authority):
        first_line(Path(file), f"{section}.{authority}")
