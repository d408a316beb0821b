"""Whether the settings can be used: files that they name, who else may read those, keys.

The one rule: what a setting holds is never shown, only its name, its file and how many there are.
"""

import stat
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stream.adapters import tls
from stream.admin.finding import Finding, fail, ok, warn
from stream.config.loading import PREFIX
from stream.config.settings import SECRETS, Settings
from stream.errors import UsageError

SECRET_FILES: Final = (
    "kafka.sasl_password_file",
    "redis.password_file",
    "emailer.smtp_password_file",
    "emailer.directory_token_file",
)
AUTHORITIES: Final = ("kafka.ssl_cafile", "redis.ssl_cafile", "emailer.smtp_cafile")
# As many characters as openssl rand -hex 16 prints.
SHORTEST_SECRET: Final = 32


def judge(settings: Settings, file: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is to be said of settings that could be loaded."""
    yield ok("settings", _where_from(file, environ))
    if file is not None and _has_secrets(file):
        yield _private("settings with secrets", file)
    for setting in SECRET_FILES:
        if path := _named(settings, setting):
            yield _private(setting, path)
    for setting in AUTHORITIES:
        if path := _named(settings, setting):
            yield _authority(setting, path)
    yield from _customers(settings)
    yield from _edge(settings)


def _where_from(file: Path | None, environ: Mapping[str, str]) -> str:
    count = sum(name.startswith(PREFIX) and "__" in name for name in environ)
    variables = f"{count} variable{'' if count == 1 else 's'} of the environment"
    return f"{file or 'no file'}, {variables}; all of them are known and fit"


def _has_secrets(file: Path) -> bool:
    document = tomllib.loads(file.read_text())
    return any(
        f"{section}.{name}" in SECRETS or "@" in str(value)
        for section, names in document.items()
        for name, value in names.items()
    )


def _named(settings: Settings, setting: str) -> Path | None:
    section, name = setting.split(".")
    path: str = getattr(getattr(settings, section), name)
    return Path(path) if path else None


def _private(what: str, file: Path) -> Finding:
    """Judge who may read a file that has been read."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & stat.S_IRWXO:
        found = f"{file} is open to every user of this machine (mode {mode:04o})"
        return warn(what, found, f"chmod o-rwx {file} (a mounted secret: its defaultMode)")
    return ok(what, f"{file}, mode {mode:04o}")


def _authority(setting: str, file: Path) -> Finding:
    try:
        tls.context(str(file), setting)
    except UsageError as error:
        do = "name the certificate of the authority that has signed the servers'"
        return fail(setting, str(error).removeprefix(f"{setting}: "), do)
    return ok(setting, f"{file} is a certificate authority's")


def _customers(settings: Settings) -> Iterator[Finding]:
    """Judge the e-mailer's files: its directory, where that is one, and its templates."""
    emailer = settings.emailer
    if emailer.directory and "://" not in emailer.directory:
        file = Path(emailer.directory)
        if file.is_file():
            yield _private("emailer.directory", file)
        else:
            yield fail("emailer.directory", f"{file} is no file", "name the file of customers")
    if emailer.templates and not Path(emailer.templates).is_dir():
        found = f"{emailer.templates} is no folder"
        yield fail("emailer.templates", found, "name the folder, or none to use those that come")


def _edge(settings: Settings) -> Iterator[Finding]:
    edge = settings.edge
    new = "set edge.signing_keys to a list with what openssl rand -hex 32 prints"
    if edge.keys and not edge.signing_keys:
        yield fail("edge", "has keys, but nothing to sign visitor ids with", new)
        return
    if weak := sum(len(key) < SHORTEST_SECRET for key in edge.signing_keys):
        yield warn("edge.signing_keys", f"{weak} short enough to be guessed", new)
    servers = [key for key in edge.keys if key.kind == "server"]
    if weak := sum(len(key.key) < SHORTEST_SECRET for key in servers):
        do = "a server key is a secret: take what openssl rand -hex 32 prints"
        yield warn("edge.keys", f"{weak} of servers short enough to be guessed", do)
    if edge.keys:
        kinds = Counter(key.kind for key in edge.keys)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        yield ok("edge", f"keys: {told}; {len(edge.signing_keys)} to sign visitor ids with")
