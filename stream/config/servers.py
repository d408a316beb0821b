"""Kafka and Redis: their addresses, and how Cartwake logs in."""

import re
from typing import Annotated, Literal, Self

from pydantic import model_validator

from stream.config.bounds import ADDRESSES, REDIS, SECRET, TEXT, whole
from stream.config.secrecy import without_login
from stream.config.section import Section, means
from stream.errors import UsageError

PASSWORD_FILE = means("file whose first line is the password")
AUTHORITY = means("certificate authority, a PEM file; empty: the system's")


class KafkaSettings(Section):
    """Kafka's address, and how Cartwake logs in."""

    bootstrap: Annotated[str, ADDRESSES, means("brokers to connect to first")] = "localhost:9092"
    partitions: Annotated[
        int, whole(1, 10_000, "partitions"), means("for `cartwake topics create`")
    ] = 12
    replication: Annotated[int, whole(1, 100, "copies"), means("for `cartwake topics create`")] = 1
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        means("whether the connection is encrypted, and whether Cartwake logs in"),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], means("how it logs in")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, TEXT, means("user name")] = ""
    sasl_password: Annotated[
        str, TEXT, SECRET, means("password; better in `kafka.sasl_password_file`")
    ] = ""
    sasl_password_file: Annotated[str, TEXT, PASSWORD_FILE] = ""
    ssl_cafile: Annotated[str, TEXT, AUTHORITY] = ""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Refuse half a login, and a login or an authority that would silently not be used."""
        logs_in = self.security_protocol.startswith("SASL_")
        for setting in ("sasl_username", "sasl_password"):
            if bool(getattr(self, setting)) != logs_in:
                raise UsageError(self._clash("needs" if logs_in else "does not use", setting))
        if self.ssl_cafile and not self.security_protocol.endswith("SSL"):
            raise UsageError(self._clash("does not use", "ssl_cafile"))
        return self

    def _clash(self, verb: str, setting: str) -> str:
        return f'kafka.security_protocol "{self.security_protocol}" {verb} kafka.{setting}'


class RedisSettings(Section):
    """Redis's address, and how Cartwake logs in; the user's name is part of the URL."""

    url: Annotated[
        str,
        REDIS,
        means(
            "`rediss://` for TLS; `redis+cluster://a:7000,b:7000`, or `rediss+cluster://`, for a"
            " cluster; with a user: `rediss://name@host`"
        ),
    ] = "redis://localhost:6379/0"
    password: Annotated[str, TEXT, SECRET, means("password; better in `redis.password_file`")] = ""
    password_file: Annotated[str, TEXT, PASSWORD_FILE] = ""
    ssl_cafile: Annotated[str, TEXT, AUTHORITY] = ""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Refuse two passwords, and an authority that would silently not be used."""
        if self.password and re.search(r"//[^/@]*:[^/]*@|[?&]password=", self.url):
            raise UsageError("redis.url has a password, and redis.password is another")
        if self.ssl_cafile and not self.url.startswith("rediss"):
            raise UsageError(f"redis.url {self.address} does not use redis.ssl_cafile")
        return self

    @property
    def address(self) -> str:
        """The URL as people may see it: without name and password."""
        return without_login(self.url)
