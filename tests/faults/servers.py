"""Kafka and Redis with a proxy of ours before each: workers come through it, the judges do not."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.faults.proxy import Proxy
from tests.rig.kafka import Kafka
from tests.rig.processes import LOOPBACK, free_port
from tests.rig.redis import Redis

LISTENERS = """
listeners=BROKER://{host}:{port},WORKER://{host}:{worker},CONTROLLER://{host}:{controller}
advertised.listeners=BROKER://{host}:{port},WORKER://{host}:{proxy},CONTROLLER://{host}:{controller}
listener.security.protocol.map=BROKER:PLAINTEXT,WORKER:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


class Broker(Kafka):
    """A broker that tells workers, who ask at ``proxy``, to come there for everything."""

    def __init__(self, folder: Path, *more: str) -> None:
        super().__init__(folder)
        worker = free_port()
        self.proxy = Proxy(worker)
        known = self._config.read_text()
        found = re.search(r"CONTROLLER://[\d.]+:(\d+)", known)
        assert found is not None
        # Of a property that is given twice the last one counts.
        listeners = LISTENERS.format(
            host=LOOPBACK,
            port=self.port,
            worker=worker,
            proxy=self.proxy.port,
            controller=found[1],
        )
        self._config.write_text("\n".join([known, listeners, *more]))

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._program.running

    @property
    def for_workers(self) -> str:
        """The address that workers are given."""
        return f"{LOOPBACK}:{self.proxy.port}"


class State(Redis):
    """A Redis behind a proxy, whose append-only file may be cut back to how it was."""

    def __init__(self, folder: Path, appendfsync: str = "always") -> None:
        super().__init__(folder, appendfsync=appendfsync)
        self.proxy = Proxy(self.port)

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._program.running

    @property
    def for_workers(self) -> str:
        """The URL that workers are given."""
        return f"redis://{LOOPBACK}:{self.proxy.port}/0"

    def restart_with(self, environment: Mapping[str, str]) -> None:
        """Restart it with more in its environment."""
        self._program.environment = {**os.environ, **environment}
        self.restart()

    def written_bytes(self) -> int:
        """Return how long the append-only file is now."""
        return self._log().stat().st_size

    def lose_tail(self, keep_bytes: int) -> None:
        """Kill it, forget what was appended after so many bytes, and start it."""
        self.kill()
        with self._log().open("r+b") as file:
            file.truncate(keep_bytes)
        self.start()

    def _log(self) -> Path:
        # Redis 7 has a folder of files, of which the increment grows.
        (found,) = [path for path in self.folder.rglob("*.aof") if "base" not in path.name]
        return found
