"""A session: activity without a gap longer than the idle time."""

from msgspec import Struct

from stream.domain.ids import make_id
from stream.domain.policy import MINUTE_MS


class Session(Struct, array_like=True, gc=False):
    """The session of the last activity. Times are event times, milliseconds UTC.

    ``idle_ms`` is how long after its last activity the visitor counts as gone, by the policy that
    the worker had then.
    """

    started_ms: int
    last_activity_ms: int
    idle_ms: int = 30 * MINUTE_MS


def advance(session: Session | None, at_ms: int, idle_ms: int, gone_after_ms: int) -> Session:
    """Return the session that activity at ``at_ms`` begins, or the one that it continues.

    A late event never moves the last activity back, and never starts a session of its own.

    Examples
    --------
    >>> advance(Session(0, 10), 40, idle_ms=30, gone_after_ms=20)
    Session(started_ms=0, last_activity_ms=40, idle_ms=20)
    >>> advance(Session(0, 10), 41, idle_ms=30, gone_after_ms=20)
    Session(started_ms=41, last_activity_ms=41, idle_ms=20)
    >>> advance(Session(5, 10), 3, idle_ms=30, gone_after_ms=20)
    Session(started_ms=5, last_activity_ms=10, idle_ms=20)
    """
    if session is None or at_ms - session.last_activity_ms > idle_ms:
        return Session(at_ms, at_ms, gone_after_ms)
    session.last_activity_ms = max(session.last_activity_ms, at_ms)
    session.idle_ms = gone_after_ms
    return session


def session_id(tenant: str, visitor: str, session: Session) -> str:
    """Return the id of a session, the same in every replay."""
    return make_id("session", tenant, visitor, session.started_ms)
