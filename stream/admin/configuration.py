"""Checks the settings: the files that they name, who else can read those, and keys.

The value of a setting is never shown, only its name, its file and a count.
"""

import stat
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stream.adapters import tls
from stream.admin.finding import Finding, fail, ok, warn
from stream.config.secrecy import is_guessable
from stream.config.settings import KNOWN, SECRETS, Settings
from stream.config.sources import AUTHORITY, FILE, PREFIX
from stream.errors import UsageError

SECRET_FILES: Final = tuple(setting for setting in KNOWN if setting.endswith(FILE))
GENERATE: Final = "use the output of openssl rand -hex 32"
GENERATE_WHSEC: Final = "use the output of echo whsec_$(openssl rand -base64 24)"
AUTHORITIES: Final = tuple(setting for setting in KNOWN if setting.endswith(AUTHORITY))


def check_configuration(
    settings: Settings, file: Path | None, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield the findings about settings that could be loaded."""
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
    return f"{file or 'no file'}, {variables}; all names and values are valid"


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


def _private(subject: str, file: Path) -> Finding:
    """Check who can read a file."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & stat.S_IRWXO:
        observed = f"{file} is open to every user of this machine (mode {mode:04o})"
        return warn(subject, observed, f"chmod o-rwx {file} (a mounted secret: its defaultMode)")
    return ok(subject, f"{file}, mode {mode:04o}")


def _authority(setting: str, file: Path) -> Finding:
    try:
        tls.context(str(file), setting)
    except UsageError as error:
        remedy = "name the authority that signed the servers' certificates"
        return fail(setting, str(error).removeprefix(f"{setting}: "), remedy)
    return ok(setting, f"{file} holds a certificate authority")


def _customers(settings: Settings) -> Iterator[Finding]:
    """Check the e-mailer's files: its directory, if that is a file, and its templates."""
    emailer = settings.emailer
    if emailer.directory and "://" not in emailer.directory:
        file = Path(emailer.directory)
        if file.is_file():
            yield _private("emailer.directory", file)
        else:
            yield fail("emailer.directory", f"{file} is not a file", "name the customers' file")
    if emailer.templates and not Path(emailer.templates).is_dir():
        observed = f"{emailer.templates} is not a folder"
        yield fail(
            "emailer.templates",
            observed,
            "name the folder, or leave it out to use the built-in templates",
        )


def _edge(settings: Settings) -> Iterator[Finding]:
    edge = settings.edge
    new = f"set edge.signing_keys to a list: {GENERATE}"
    if edge.keys and not edge.signing_keys:
        yield fail("edge", "has keys, but no keys to sign visitor ids", new)
        return
    servers = [key for key in edge.keys if key.kind == "server"]
    endpoints = settings.webhooks.endpoints
    for setting, secrets, remedy in (
        ("edge.signing_keys", edge.signing_keys, new),
        ("emailer.address_key", list(filter(None, [settings.emailer.address_key])), GENERATE),
        ("edge.keys of servers", [key.key for key in servers], GENERATE),
        ("edge.hooks", [hook.secret for hook in edge.hooks], GENERATE),
        ("webhooks.endpoints", [one for end in endpoints for one in end.secrets], GENERATE_WHSEC),
    ):
        if weak := sum(map(is_guessable, secrets)):
            yield warn(setting, f"{weak} can be guessed: short, published or a placeholder", remedy)
    if edge.keys:
        kinds = Counter(key.kind for key in edge.keys)
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        yield ok("edge", f"keys: {named}; signing keys: {len(edge.signing_keys)}")
