"""Settings: one frozen value, every knob with its unit in its name and its default beside it.

The one rule: a section that exists is within its bounds, wherever it was made, and shows no secret.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec

from stream.config.bounds import (
    ADDRESSES,
    CLOCK,
    DAY_S,
    GROUP,
    NOT_EMPTY,
    PORT,
    RATE,
    REDIS,
    SECONDS,
    SENDER,
    SHARE,
    SMTP,
    STEPS,
    TEXT,
    WEB,
    WEEK,
    YEAR_S,
    ZONE,
    Allowed,
    whole,
)
from stream.config.edge import (
    ENDPOINTS,
    HOOK_SECRETS,
    KEYS,
    LISTEN,
    OFFERS,
    SIGNING_KEYS,
    EdgeHook,
    EdgeKey,
    Endpoint,
    Offer,
)
from stream.config.secrecy import shown, without_login
from stream.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Section:
    """A named group of settings that checks itself when it is made."""

    def __post_init__(self) -> None:
        """Refuse a value outside its bounds."""
        section = next(name for name, cls in SECTIONS.items() if cls is type(self))
        for knob in fields(self):
            setting = f"{section}.{knob.name}"
            accepted(setting, getattr(self, knob.name), setting)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse values that do not fit each other."""


@dataclass(frozen=True, kw_only=True)
class KafkaSettings(Section):
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
class RedisSettings(Section):
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
        return without_login(self.url)

    def __repr__(self) -> str:
        return f"RedisSettings(url={self.address!r}, ssl_cafile={self.ssl_cafile!r})"


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(Section):
    """How a worker runs."""

    group: Annotated[str, GROUP] = "cartwake"
    session_timeout_s: Annotated[int, whole(1, 1800, "seconds")] = 8
    metrics_host: Annotated[str, NOT_EMPTY] = "127.0.0.1"
    metrics_port: Annotated[int, PORT] = 9464
    clock: Literal["live", "records"] = "live"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class DeadLetterSettings(Section):
    """How many records that can never be processed a shard takes before it stops."""

    max_in_a_row: Annotated[int, whole(1, 1_000_000_000, "records")] = 100
    max_share: Annotated[float, SHARE] = 0.05


@dataclass(frozen=True, kw_only=True)
class CartAbandonmentSettings(Section):
    """When a left cart is worth a reminder."""

    idle_s: Annotated[int, WEEK] = 1800
    steps_s: Annotated[tuple[int, ...], STEPS] = (0, 86_400, 259_200)
    min_value_minor: Annotated[int, whole(0, 2**53, "minor units")] = 0
    max_age_s: Annotated[int, SECONDS] = 259_200


@dataclass(frozen=True, kw_only=True)
class ExitIntentSettings(Section):
    """When a leaving shopper is worth a word."""

    min_dwell_ms: Annotated[int, whole(0, DAY_S * 1000, "milliseconds")] = 4000
    cooldown_s: Annotated[int, whole(0, YEAR_S, "seconds")] = 604_800


@dataclass(frozen=True, kw_only=True)
class SessionSettings(Section):
    """When a visit is over."""

    idle_s: Annotated[int, WEEK] = 1800


@dataclass(frozen=True, kw_only=True)
class LearningSettings(Section):
    """What the models are asked."""

    horizon_s: Annotated[int, SECONDS] = 3600


@dataclass(frozen=True, kw_only=True)
class HoldoutSettings(Section):
    """Who is never messaged, so that the others can be compared with them."""

    fraction: Annotated[float, SHARE] = 0.05
    salt: Annotated[str, NOT_EMPTY] = "cartwake"


@dataclass(frozen=True, kw_only=True)
class EdgeSettings(Section):
    """Where browsers and storefronts are heard, and who of them."""

    listen: Annotated[str, LISTEN] = "127.0.0.1:8080"
    keys: Annotated[tuple[EdgeKey, ...], KEYS] = ()
    signing_keys: Annotated[tuple[str, ...], SIGNING_KEYS] = field(default=(), repr=False)
    hooks: Annotated[tuple[EdgeHook, ...], HOOK_SECRETS] = ()
    offers: Annotated[tuple[Offer, ...], OFFERS] = ()
    requests_per_s_per_key: Annotated[int, whole(1, 1_000_000, "requests")] = 5_000
    requests_per_s_per_address: Annotated[int, whole(1, 1_000_000, "requests")] = 200
    trusted_proxies: Annotated[int, whole(0, 10, "proxies")] = 0
    max_streams: Annotated[int, whole(1, 1_000_000, "streams")] = 10_000
    metrics_host: Annotated[str, NOT_EMPTY] = "127.0.0.1"
    metrics_port: Annotated[int, PORT] = 9465


@dataclass(frozen=True, kw_only=True)
class EmailerSettings(Section):
    """How mails are sent, from whom, and when not."""

    group: Annotated[str, GROUP] = "emailer"
    tenant: Annotated[str, NOT_EMPTY] = "default"
    sender: Annotated[str, SENDER] = ""
    public_url: Annotated[str, WEB] = ""
    cart_url: Annotated[str, WEB] = ""
    smtp_url: Annotated[str, SMTP] = "smtp://localhost:1025"
    smtp_username: Annotated[str, TEXT] = ""
    smtp_password: Annotated[str, TEXT] = field(default="", repr=False)
    smtp_password_file: Annotated[str, TEXT] = ""
    smtp_cafile: Annotated[str, TEXT] = ""
    directory: Annotated[str, TEXT] = field(default="", repr=False)
    directory_query: Annotated[str, TEXT] = ""
    directory_token: Annotated[str, TEXT] = field(default="", repr=False)
    directory_token_file: Annotated[str, TEXT] = ""
    templates: Annotated[str, TEXT] = ""
    quiet_from: Annotated[str, CLOCK] = "21:00"
    quiet_until: Annotated[str, CLOCK] = "09:00"
    timezone: Annotated[str, ZONE] = "UTC"
    cap_s: Annotated[int, whole(0, DAY_S, "seconds")] = 57_600
    per_domain_per_s: Annotated[float, RATE] = 10.0
    at_once: Annotated[int, whole(1, 100, "mails")] = 1
    metrics_host: Annotated[str, NOT_EMPTY] = "127.0.0.1"
    metrics_port: Annotated[int, PORT] = 9466

    def _check_together(self) -> None:
        """Refuse a database without a question, and a secret that would go out in clear."""
        is_sql = "://" in self.directory and not self.directory.startswith("http")
        if is_sql != bool(self.directory_query):
            verb = "needs" if is_sql else "does not use"
            raise UsageError(f"emailer.directory as it is {verb} emailer.directory_query")
        if self.smtp_password and self.smtp_url.startswith("smtp://"):
            raise UsageError(
                "emailer.smtp_url smtp:// would send emailer.smtp_password in clear: "
                "use smtp+starttls:// or smtps://"
            )


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(Section):
    """Where triggers are posted to."""

    group: Annotated[str, GROUP] = "webhooks"
    endpoints: Annotated[tuple[Endpoint, ...], ENDPOINTS] = ()
    allow_private: Annotated[bool, Allowed("true or false")] = False
    at_once: Annotated[int, whole(1, 100, "requests")] = 4
    metrics_host: Annotated[str, NOT_EMPTY] = "127.0.0.1"
    metrics_port: Annotated[int, PORT] = 9467


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    dead_letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    cart_abandonment: CartAbandonmentSettings = field(default_factory=CartAbandonmentSettings)
    exit_intent: ExitIntentSettings = field(default_factory=ExitIntentSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    emailer: EmailerSettings = field(default_factory=EmailerSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)


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


def accepted(setting: str, value: object, where: str) -> object:
    """Return the value as its setting has it.

    Raises
    ------
    UsageError
        It is out of bounds; ``where`` it stands comes first in what is said.
    """
    kind, allowed = KNOWN[setting]
    with suppress(msgspec.ValidationError):
        converted: object = msgspec.convert(value, kind)
        if allowed.test(converted):
            return converted
    raise UsageError(f"{where}: {shown(setting, value)} is not {allowed.words}")
