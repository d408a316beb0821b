"""What of a setting people may see, in messages and logs: never a secret, no login of a URL."""

import json
import re
from typing import Final

SHOWN: Final = 80


def shown(value: object) -> str:
    """Return a value as a message may quote it: in JSON, and only the beginning of what is long."""
    text = without_login(json.dumps(value, default=str))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def without_login(url: str) -> str:
    """Return a URL with stars in place of names and passwords.

    Examples
    --------
    >>> without_login("rediss://ann:hush@cache:6379/0?password=hush")
    'rediss://***@cache:6379/0?password=***'
    """
    return re.sub(r"((?:username|password)=)[^&\"]*", r"\1***", re.sub(r"//.*@", "//***@", url))
