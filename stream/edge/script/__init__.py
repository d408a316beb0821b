"""The browser's script, as it is served: without its comments, and named by its content.

The one rule: what is served is the source beside this file; nothing builds it.
"""

import hashlib
from functools import cache
from importlib.resources import files

import rjsmin

FILE = "cartwake.js"
DIGITS = 16


@cache
def source() -> bytes:
    """Return the script without comments and needless blanks."""
    text = files(__name__).joinpath(FILE).read_text()
    return str(rjsmin.jsmin(text)).encode()


@cache
def digest() -> str:
    """Return the hash of the content: other bytes, another name."""
    return hashlib.sha256(source()).hexdigest()[:DIGITS]
