"""Settings: one frozen value, every knob with its unit in its name and its default beside it.

The one rule: a section that exists is within its bounds, wherever it was made. ``load`` reads the
TOML file, then the environment, and refuses what it does not know.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from stream.bounds import (
    ADDRESSES,
    DAY_S,
    GROUP,
    NOT_EMPTY,
    PORT,
    REDIS,
    SECONDS,
    SHARE,
    STEPS,
    TEXT,
    WEEK,
    YEAR_S,
    Allowed,
    whole,
)
from stream.errors import UsageError
from stream.named_files import first_line

PREFIX = "CARTWAKE_"
CONFIG = "CARTWAKE_CONFIG"
SHOWN = 80


@dataclass(frozen=True, kw_only=True)
class Section:
    """A named group of settings that checks itself when it is made."""

    def __post_init__(self) -> None:
        """Refuse a value outside its bounds."""
        section = next(name for name, cls in SECTIONS.items() if cls is type(self))
        for knob in fields(self):
            setting = f"{section}.{knob.name}"
            _accepted(setting, getattr(self, knob.name), setting)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse values that do not fit each other."""


@dataclass(frozen=True, kw_only=True)
class Kafka(Section):
    """Where the log is, and how to be let in."""

    bootstrap: Annotated[str, ADDRESSES] = "localhost:9092"
    partitions: Annotated[int, whole(1, 10_000, "partitions")] = 12
    replication: Annotated[int, whole(1, 100, "copies")] = 1
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, TEXT] = ""
    sasl_password: Annotated[str, TEXT] = field(default="", repr=False)
    sasl_password_file: Annotated[str, TEXT] = ""
    ssl_cafile: Annotated[str, TEXT] = ""

    def _check_together(self) -> None:
        """Refuse half a login, and a login or an authority that would silently not be used."""
        signs_in = self.security_protocol.startswith("SASL_")
        for setting in ("sasl_username", "sasl_password"):
            if bool(getattr(self, setting)) != signs_in:
                raise UsageError(self._clash("needs" if signs_in else "does not use", setting))
        if self.ssl_cafile and not self.security_protocol.endswith("SSL"):
            raise UsageError(self._clash("does not use", "ssl_cafile"))

    def _clash(self, verb: str, setting: str) -> str:
        return f'kafka.security_protocol "{self.security_protocol}" {verb} kafka.{setting}'


@dataclass(frozen=True, kw_only=True)
class Redis(Section):
    """Where the state is, and how to be let in; the user's name stands in the URL."""

    url: Annotated[str, REDIS] = "redis://localhost:6379/0"
    password: Annotated[str, TEXT] = field(default="", repr=False)
    password_file: Annotated[str, TEXT] = ""
    ssl_cafile: Annotated[str, TEXT] = ""

    def _check_together(self) -> None:
        """Refuse two passwords, and an authority that would silently not be used."""
        if self.password and re.search(r"//[^/@]*:[^/]*@|[?&]password=", self.url):
            raise UsageError("redis.url has a password, and redis.password is another")
        if self.ssl_cafile and not self.url.startswith("rediss"):
            raise UsageError(f"redis.url {self.address} does not use redis.ssl_cafile")

    @property
    def address(self) -> str:
        """The URL as people may see it: without name and password."""
        return _without_login(self.url)

    def __repr__(self) -> str:
        return f"Redis(url={self.address!r}, ssl_cafile={self.ssl_cafile!r})"


@dataclass(frozen=True, kw_only=True)
class Worker(Section):
    """How a worker runs."""

    group: Annotated[str, GROUP] = "cartwake"
    session_timeout_s: Annotated[int, whole(1, 1800, "seconds")] = 8
    metrics_host: Annotated[str, NOT_EMPTY] = "127.0.0.1"
    metrics_port: Annotated[int, PORT] = 9464
    clock: Literal["live", "records"] = "live"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class DeadLetters(Section):
    """How many records that can never be processed a shard takes before it stops."""

    max_in_a_row: Annotated[int, whole(1, 1_000_000_000, "records")] = 100
    max_share: Annotated[float, SHARE] = 0.05


@dataclass(frozen=True, kw_only=True)
class CartAbandonment(Section):
    """When a left cart is worth a reminder."""

    idle_s: Annotated[int, WEEK] = 1800
    steps_s: Annotated[tuple[int, ...], STEPS] = (0, 86_400, 259_200)
    min_value_minor: Annotated[int, whole(0, 2**53, "minor units")] = 0
    max_age_s: Annotated[int, SECONDS] = 259_200


@dataclass(frozen=True, kw_only=True)
class ExitIntent(Section):
    """When a leaving shopper is worth a word."""

    min_dwell_ms: Annotated[int, whole(0, DAY_S * 1000, "milliseconds")] = 4000
    cooldown_s: Annotated[int, whole(0, YEAR_S, "seconds")] = 604_800


@dataclass(frozen=True, kw_only=True)
class Session(Section):
    """When a visit is over."""

    idle_s: Annotated[int, WEEK] = 1800


@dataclass(frozen=True, kw_only=True)
class Learning(Section):
    """What the models are asked."""

    horizon_s: Annotated[int, SECONDS] = 3600


@dataclass(frozen=True, kw_only=True)
class Holdout(Section):
    """Who is never messaged, so that the others can be compared with them."""

    fraction: Annotated[float, SHARE] = 0.05
    salt: Annotated[str, NOT_EMPTY] = "cartwake"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process."""

    kafka: Kafka = field(default_factory=Kafka)
    redis: Redis = field(default_factory=Redis)
    worker: Worker = field(default_factory=Worker)
    dead_letters: DeadLetters = field(default_factory=DeadLetters)
    cart_abandonment: CartAbandonment = field(default_factory=CartAbandonment)
    exit_intent: ExitIntent = field(default_factory=ExitIntent)
    session: Session = field(default_factory=Session)
    learning: Learning = field(default_factory=Learning)
    holdout: Holdout = field(default_factory=Holdout)


SECTIONS: dict[str, type[Section]] = get_type_hints(Settings)


def _known() -> Iterator[tuple[str, tuple[object, Allowed]]]:
    """Yield each setting's dotted name with its type and what it may be."""
    for section, cls in SECTIONS.items():
        for name, hint in get_type_hints(cls, include_extras=True).items():
            kind, *allowed = get_args(hint)
            if get_origin(hint) is Literal:
                kind, allowed = hint, [Allowed("one of " + ", ".join(get_args(hint)))]
            yield f"{section}.{name}", (kind, allowed[0])


KNOWN = dict(_known())


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file, if one is named, overridden by those of the environment."""
    file = path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting, value, where in (*(_in_file(file) if file else ()), *_in_environment(environ)):
        section, name = setting.split(".")
        values[section][name] = _accepted(setting, value, where)
    _follow_files("kafka", "sasl_password", values["kafka"])
    _follow_files("redis", "password", values["redis"])
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


def _accepted(setting: str, value: object, where: str) -> object:
    """Return the value as its setting has it, or refuse it."""
    kind, allowed = KNOWN[setting]
    with suppress(msgspec.ValidationError):
        converted: object = msgspec.convert(value, kind)
        if allowed.test(converted):
            return converted
    raise UsageError(f"{where}: {_shown(setting, value)} is not {allowed.words}")


def _shown(setting: str, value: object) -> str:
    if setting in {"kafka.sasl_password", "redis.password"}:
        return "what is given"
    text = _without_login(json.dumps(value, default=str))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _without_login(url: str) -> str:
    return re.sub(r"((?:username|password)=)[^&\"]*", r"\1***", re.sub(r"//.*@", "//***@", url))


def _follow_files(section: str, password: str, values: dict[str, Any]) -> None:
    """Take the password from its file, and look for the authority's, before anything connects."""
    setting = f"{section}.{password}"
    if file := values.get(f"{password}_file"):
        if values.get(password):
            raise UsageError(f"{setting} and {setting}_file exclude each other")
        values[password] = first_line(Path(file), f"{setting}_file")
    if file := values.get("ssl_cafile"):
        first_line(Path(file), f"{section}.ssl_cafile")
