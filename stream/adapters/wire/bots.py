"""Bots: user agents that a maintained list names.

Only a user agent that identifies itself as a bot is one; an absent user agent is not.
The list is https://github.com/monperrus/crawler-user-agents.
"""

from functools import lru_cache

from crawleruseragents import is_crawler

# A search costs about 0.3 ms and browsers share few user agents, so nearly all are answered from
# the cache. Cut and counted, it holds 8 MB at most, whatever strangers send.
LOOKED_AT_CHARACTERS = 1024
REMEMBERED = 8192


def is_bot(user_agent: str) -> bool:
    """Return whether the list knows this user agent as a robot."""
    return _is_listed(user_agent[:LOOKED_AT_CHARACTERS])


@lru_cache(maxsize=REMEMBERED)
def _is_listed(user_agent: str) -> bool:
    return bool(is_crawler(user_agent))
