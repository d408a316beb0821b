"""What of a setting people may see, in messages and logs: never a secret, no login of a URL."""

import json
import re
from typing import Final

SHOWN: Final = 80
# As many characters as openssl rand -hex 16 prints.
SHORTEST_SECRET: Final = 32
STANDARD_WEBHOOKS: Final = "whsec_"
# Of the secrets in deploy/development and the guides, which everybody can read, and of what stands
# in place of a secret.
PUBLISHED: Final = re.compile(
    r"development-|dHJpYWwtc2VjcmV0|[<>{}]|change.?me|place.?holder|example|your[-_ ]",
    re.IGNORECASE,
)
FEWEST_DIFFERENT: Final = 8


def is_guessable(secret: str) -> bool:
    """Return whether others may know or guess a secret: short, published, or a placeholder.

    Examples
    --------
    >>> is_guessable("<what openssl rand -hex 32 prints>"), is_guessable("a" * 64)
    (True, True)
    >>> is_guessable("4f2b8c1d9e6a7053b1c2d3e4f5061728")
    False
    """
    secret = secret.removeprefix(STANDARD_WEBHOOKS)
    return (
        len(secret) < SHORTEST_SECRET
        or len(set(secret)) < FEWEST_DIFFERENT
        or PUBLISHED.search(secret) is not None
    )


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
