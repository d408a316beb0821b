"""The parser of command lines, and the types of their arguments.

A type is a function for argparse; its error becomes the one line people read.
"""

import argparse
import math
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NoReturn

from stream.domain.topics import LANES
from stream.errors import UsageError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and name the command nearest to an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError(f"{message} (see: {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: str) -> None:
        """Refuse an unknown command (argparse has no other place to name the nearest one)."""
        commands = list(action.choices or ())
        if commands and value not in commands:
            near = get_close_matches(value, commands, 1, 0.5)
            known = f"the nearest is {near[0]}" if near else f"there are {', '.join(commands)}"
            raise argparse.ArgumentError(None, f"there is no command {value!r}; {known}")


def add_config(command: Parser, default: str | None) -> None:
    """Add ``--config``, which every command takes."""
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="TOML file with settings (default: the file that CARTWAKE_CONFIG names)",
    )


def number(most: int, *, zero: bool = False) -> Callable[[str], float]:
    """Return the type of numbers above 0 (``zero``: from 0 on) up to ``most``."""

    def read(text: str) -> float:
        try:
            value = int(text) if text.isdecimal() else float(text)
        except ValueError:
            value = math.nan  # is within no bounds
        if 0 < value <= most or (zero and value == 0):
            return value
        start = "from 0" if zero else "above 0"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {start} up to {most}")

    return read


def seed(text: str) -> int:
    """Return a whole number, 0 or more."""
    if re.fullmatch(r"\d{1,18}", text, re.ASCII):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")


def moment(text: str) -> datetime:
    """Return the UTC time of an ISO 8601 time, or of a duration that ends now."""
    try:
        if ago := re.fullmatch(r"(\d{1,9})([smhdw])", text, re.ASCII):
            return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        allowed = "an ISO 8601 time such as 2026-03-01T12:00Z, or a duration such as 30m, 2h or 7d"
        raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}") from error


def events(text: str) -> str:
    """Return the path of a readable file, or ``-``; a pipe may have any name."""
    if text == "-":
        return text
    try:
        mode = Path(text).stat().st_mode
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from error
    if S_ISDIR(mode) or not os.access(text, os.R_OK):
        raise argparse.ArgumentTypeError(f"{text}: not a file that can be read")
    if S_ISREG(mode) and not text.endswith((".jsonl", ".jsonl.gz")):
        raise argparse.ArgumentTypeError(f"{text}: the name of events ends in .jsonl or .jsonl.gz")
    return text


def folder(text: str) -> Path:
    """Return the path of a folder that is writable or can be created."""
    folder = Path(text)
    above = (folder, *folder.absolute().parents)
    nearest = next(path for path in above if os.access(path, os.F_OK))
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(f"{nearest}: not a folder")
    if not os.access(nearest, os.W_OK):
        raise argparse.ArgumentTypeError(f"{nearest}: not a folder that can be written to")
    return folder


def place(text: str) -> str:
    """Return the position of a record: topic, partition and offset."""
    if re.fullmatch(rf"({'|'.join(LANES)})-\d{{1,19}}-\d{{1,19}}", text, re.ASCII):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is not TOPIC-PARTITION-OFFSET, such as cart-events-3-4711"
    )
