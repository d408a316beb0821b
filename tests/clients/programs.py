"""The examples: programs that use a client as its documentation shows, run as they are printed.

An example is one file in ``examples``. Its part above the line ``THE JOURNEY`` is what a shop
copies, and is printed in docs/clients.md. Only the addresses of the edge and of Kafka are replaced.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.installed import HERE, node_modules, site_packages

EXAMPLES = HERE / "examples"
EDGE, KAFKA = "http://localhost:8080", "localhost:9092"
JOURNEY = "THE JOURNEY"
LANGUAGES = {".mjs": "js", ".py": "python", ".html": "html", ".js": "js"}
TIMEOUT_S = 60


class Example:
    """One file in ``examples``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (EXAMPLES / name).read_text()
        self.language = LANGUAGES[Path(name).suffix]

    @property
    def shown(self) -> str:
        """Return what a shop copies."""
        lines = self.text.splitlines()
        end = next((at for at, line in enumerate(lines) if JOURNEY in line), len(lines))
        return "\n".join(lines[:end]).strip()

    def addressed(self, edge: str = EDGE, kafka: str = KAFKA) -> str:
        """Return the whole text with the addresses of what runs."""
        given = {EDGE: edge, KAFKA: kafka}
        for known, address in given.items():
            if address != known and known not in self.shown:
                raise LookupError(f"{self.name} has to name {known} above {JOURNEY}")
        return self.text.replace(EDGE, edge).replace(KAFKA, kafka)

    def run(self, folder: Path, edge: str = EDGE, kafka: str = KAFKA, read: str = "") -> str:
        """Run it in one process, which reads ``read``, and return what it printed.

        Raises
        ------
        AssertionError
            It failed; the message is its output.
        """
        program = folder / self.name
        program.write_text(self.addressed(edge, kafka))
        if program.suffix == ".py":
            packages = str(site_packages())
            return finished([sys.executable, str(program)], read, PYTHONPATH=packages)
        link = folder / "node_modules"  # Node looks for packages beside the program
        if not link.exists():
            link.symlink_to(node_modules())
        return finished(["node", str(program)], read)


def finished(command: list[str], read: str = "", **environment: str) -> str:
    """Run a client to its end and return what it printed."""
    # A proxy of this machine's is nothing for loopback.
    known = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command,
        input=read,
        env=known | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
