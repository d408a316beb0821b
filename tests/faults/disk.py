"""Small disks that can be filled: a tmpfs of a fixed size, where the machine lets us mount one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.row import CannotCarry

BLOCK = b"\0" * 65_536


@contextmanager
def small_disk(folder: Path, of: str, mib: int) -> Iterator[None]:
    """Put a server's folder onto a disk of its own.

    Raises
    ------
    CannotCarry
        This machine mounts nothing for us.
    """
    place = folder / of
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(place))
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCarry(f"no tmpfs can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


@contextmanager
def filled(place: Path) -> Iterator[None]:
    """Leave no room on the disk of a folder while the body runs."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(BLOCK)
        except OSError:
            pass
    assert shutil.disk_usage(place).free < len(BLOCK)
    try:
        yield
    finally:
        ballast.unlink()
