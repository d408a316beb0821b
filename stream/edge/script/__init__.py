"""The browser's script as it is served: minified, with the hash of its content.

It is made from the source beside this file when it is first requested; there is no build.
"""

import hashlib
from functools import cache
from importlib.resources import files

import rjsmin

FILE = "cartwake.js"
DIGITS = 16


@cache
def source() -> bytes:
    """Return the script without comments and unneeded spaces."""
    text = files(__name__).joinpath(FILE).read_text()
    return str(rjsmin.jsmin(text)).encode()


@cache
def digest() -> str:
    """Return the hash of the content."""
    return hashlib.sha256(source()).hexdigest()[:DIGITS]
