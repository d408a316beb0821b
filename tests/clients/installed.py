"""Clients of other projects as they are installed for the tests: for Node and for Python.

Both locks are installed once, into ``.cache/clients``, and again when they change. Nothing of it
touches the environment of Cartwake itself, whose versions differ.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from tests.rig.kafka_program import CACHE
from tests.rig.processes import Unavailable

HERE = Path(__file__).parent
FOLDER = CACHE / "clients"
NODE, PYTHON = FOLDER / "node", FOLDER / "python"


def node_modules() -> Path:
    """Return the folder with Node's clients.

    Raises
    ------
    Unavailable
        Node or npm is missing, or npm could not get them.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Unavailable(f"no {program} on the PATH; the clients need Node 20 or newer")
    return _once(NODE, HERE / "package-lock.json", _install_node) / "node_modules"


def site_packages() -> Path:
    """Return the folder with Python's clients; raise ``Unavailable`` if pip cannot get them."""
    return _once(PYTHON, HERE / "requirements.lock", _install_python)


def node_version(package: str) -> str:
    """Return the version of one of Node's clients that is installed."""
    told = json.loads((node_modules() / package / "package.json").read_text())
    return str(told["version"])


def python_version(package: str) -> str:
    """Return the version of one of Python's clients, among the clients or Cartwake's own."""
    places = [str(site_packages()), *sys.path]
    return next(metadata.distributions(name=package, path=places)).version


def _once(folder: Path, lock: Path, install: Callable[[Path], None]) -> Path:
    """Install what a lock names unless it is there; other runs wait meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    stamp, wanted = folder / "stamp", hashlib.sha256(lock.read_bytes()).hexdigest()
    with (folder.with_suffix(".lock")).open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder)
            folder.mkdir()
            install(folder)
            stamp.write_text(wanted)
    return folder


def _install_node(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    # Scripts of packages run nothing here; no client needs one.
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _install_python(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--target", str(folder)]
    _run([*command, "-r", str(HERE / "requirements.lock")], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-2000:]}")
