"""What of a setting people may be shown, in messages and logs.

The one rule: a secret is never quoted, also not one that is refused or stands in a URL.
"""

import json
import re
from typing import Final

SHOWN: Final = 80
SECRET: Final = {
    "kafka.sasl_password",
    "redis.password",
    "edge.keys",
    "edge.signing_keys",
    "edge.hooks",
    "emailer.smtp_password",
    "emailer.directory",
    "emailer.directory_token",
    "webhooks.endpoints",
}


def shown(setting: str, value: object) -> str:
    """Return a value as a message may quote it: in JSON, and only the beginning of what is long."""
    if setting in SECRET:
        return "what is given"
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
