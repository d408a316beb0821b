"""Classifies Redis's errors: a temporary outage, a refusal, or a bug in Cartwake.

It uses only the class, the text and the cause of an error.
"""

import re

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,  # noqa: A004 - Redis's own
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,  # noqa: A004 - Redis's own
)

from stream.adapters.refusal import Cause, Refusal
from stream.adapters.tls import causes, mistrust

AWAY = (
    BusyLoadingError,
    ClusterError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)
# Answers of a server that will recover: a full disk, a running script, a failover. Before Redis 7
# a script's error has the code later in the text, after a dash.
PASSING = re.compile(
    r"(^|: -)(MISCONF|BUSY|OOM|NOREPLICAS|MASTERDOWN|TRYAGAIN|UNBLOCKED) "
    # redis-py's own texts, in an exception class that our bugs raise, too.
    r"|^Redis Cluster cannot be connected|^All slots are not covered|could not agree on a valid"
)
NO_CLUSTER = "Cluster mode is not enabled on this node"
# An error without a class of its own.
NO_RIGHT = "The user executing the script can't"


def is_passing(error: Exception) -> bool:
    """Return whether a retry will succeed sooner or later."""
    return (
        isinstance(error, AWAY)
        or PASSING.search(str(error)) is not None
        or refusal(error) is not None
    )


def refusal(error: Exception) -> Refusal | None:
    """Return how a server refuses these settings; None if it does not."""
    for cause in causes(error):
        if isinstance(cause, AuthenticationError):
            return Refusal(Cause.LOGIN, f"refuses this login: {cause}")
        if isinstance(cause, NoPermissionError) or NO_RIGHT in str(cause):
            words = f"lets this user in, but not to what is needed: {cause}"
            return Refusal(Cause.RIGHTS, words)
        if str(cause) == NO_CLUSTER:
            return Refusal(Cause.CLUSTER, "is no cluster: use redis:// or rediss://")
    return mistrust(error)
