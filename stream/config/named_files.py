"""Files that settings name: secrets, and certificate authorities.

What cannot be used is refused before anything connects, and never shown.
"""

from pathlib import Path

from stream.errors import UsageError


def first_line(file: Path, setting: str) -> str:
    """Return the first line of a file that a setting names.

    Raises
    ------
    UsageError
        The file cannot be read, is not text, or its first line is empty.
    """
    line = whole_text(file, setting).partition("\n")[0].rstrip("\r")
    if not line:
        raise UsageError(f"{setting}: {file} has nothing on its first line")
    return line


def whole_text(file: Path, setting: str) -> str:
    """Return the text of a file that a setting names.

    Raises
    ------
    UsageError
        The file cannot be read, or is not text.
    """
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{setting}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{setting}: {file} is not UTF-8 text") from error
