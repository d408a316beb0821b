"""Files that settings name: a password's first line, an authority that must be there.

The one rule: what cannot be used is refused before anything connects, and never shown.
"""

from pathlib import Path

from stream.errors import UsageError


def first_line(file: Path, setting: str) -> str:
    """Return the first line of a file that a setting names.

    Raises
    ------
    UsageError
        It cannot be read, is not text, or has nothing there.
    """
    try:
        line = file.read_bytes().decode().partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise UsageError(f"{setting}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{setting}: {file} is not UTF-8 text") from error
    if not line:
        raise UsageError(f"{setting}: {file} has nothing on its first line")
    return line
