"""The open streams and the newest actions of each visitor.

An action is removed when it expires, a stream when its page has closed. A page that reconnects
names the last action that it got, and gets the later ones.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

import orjson

from stream.config.settings import EdgeSettings
from stream.edge.metrics import EdgeMetrics
from stream.edge.visitors import VerifiedVisitor

# A page that is further behind has stopped reading.
MOST_UNREAD: Final = 32
STREAMS_PER_VISITOR: Final = 20
# A cancel may be read before its trigger: they are two topics.
CANCELS_REMEMBERED: Final = 10_000


class Action(NamedTuple):
    """One on-site trigger, in the form for pages."""

    trigger_id: str
    visitor: VerifiedVisitor
    expires_at_ms: int
    content: dict[str, Any]

    @property
    def data(self) -> str:
        """Its JSON text."""
        return orjson.dumps(self.content).decode()


class Cancel(NamedTuple):
    """The trigger must not be shown any more."""

    trigger_id: str


Queue = asyncio.Queue[Action | Cancel | None]


class Hub:
    """Streams and actions of one edge; one event loop, no locks."""

    def __init__(self, edge: EdgeSettings, metrics: EdgeMetrics, now_ms: Callable[[], int]) -> None:
        self._most, self._most_per_address = edge.max_streams, edge.max_streams_per_address
        self._metrics, self._now_ms = metrics, now_ms
        self._streams: dict[VerifiedVisitor, list[Queue]] = {}
        self._recent: dict[VerifiedVisitor, list[Action]] = {}
        self._order: deque[Action] = deque()
        self._cancelled: dict[str, None] = {}
        self._open = 0
        # Streams by visitor, and by address.
        self._places: Counter[VerifiedVisitor | str] = Counter()
        self._is_closed = False

    def publish(self, action: Action) -> None:
        """Send an action to all pages of its visitor; a repeated one changes nothing."""
        self._forget()
        known = self._recent.get(action.visitor, [])
        if any(one.trigger_id == action.trigger_id for one in known):
            return
        if action.trigger_id in self._cancelled:
            outcome = "cancelled"
        elif action.expires_at_ms < self._now_ms():
            outcome = "expired"
        else:
            self._recent[action.visitor] = [*known, action]
            self._order.append(action)
            outcome = "sent" if self._give(action.visitor, action) else "unheard"
        self._metrics.actions.labels(outcome).inc()

    def cancel(self, visitor: VerifiedVisitor, trigger_id: str) -> None:
        """Cancel an action, also one that has not been read yet."""
        self._cancelled[trigger_id] = None
        if len(self._cancelled) > CANCELS_REMEMBERED:
            del self._cancelled[next(iter(self._cancelled))]
        self._give(visitor, Cancel(trigger_id))
        self._forget()

    def pending(self, visitor: VerifiedVisitor, after: str | None = None) -> list[Action]:
        """Return a visitor's unseen actions that have not expired, the oldest first."""
        known = self._recent.get(visitor, [])
        ids = [one.trigger_id for one in known]
        unseen = known[ids.index(after) + 1 :] if after in ids else known
        return [one for one in self._useful(unseen) if one.trigger_id not in self._cancelled]

    def cancelled(self, visitor: VerifiedVisitor) -> list[str]:
        """Return the ids of a visitor's cancelled actions that have not expired."""
        useful = self._useful(self._recent.get(visitor, []))
        return [one.trigger_id for one in useful if one.trigger_id in self._cancelled]

    def reserve(self, visitor: VerifiedVisitor, address: str) -> bool:
        """Take a place for a stream, which ``release`` gives back; return False if there is none.

        The place is taken at once: of many requests that come together no more than fit get one.
        """
        if self._is_closed or self._open >= self._most:
            return False
        if self._places[visitor] >= STREAMS_PER_VISITOR:
            return False
        if self._places[address] >= self._most_per_address:
            return False
        self._count(visitor, address, 1)
        return True

    def release(self, visitor: VerifiedVisitor, address: str) -> None:
        """Give back the place of a stream."""
        self._count(visitor, address, -1)

    async def listen(
        self, visitor: VerifiedVisitor, after: str | None
    ) -> AsyncIterator[Action | Cancel]:
        """Yield the pending actions after one, then new ones, until the hub is closed."""
        queue: Queue = asyncio.Queue(MOST_UNREAD)
        for action in self.pending(visitor, after)[-MOST_UNREAD:]:
            queue.put_nowait(action)
            self._metrics.actions.labels("resent").inc()
        self._streams.setdefault(visitor, []).append(queue)
        try:
            while (what := await queue.get()) is not None:
                yield what
        finally:
            self._leave(visitor, queue)

    def close(self) -> None:
        """End all streams; the pages reconnect to another edge."""
        self._is_closed = True
        for queues in self._streams.values():
            for queue in queues:
                _put(queue, None)

    def _count(self, visitor: VerifiedVisitor, address: str, change: int) -> None:
        self._open += change
        self._metrics.streams.set(self._open)
        for name in (visitor, address):
            self._places[name] += change
            if not self._places[name]:
                del self._places[name]

    def _leave(self, visitor: VerifiedVisitor, queue: Queue) -> None:
        self._streams[visitor].remove(queue)
        if not self._streams[visitor]:
            del self._streams[visitor]

    def _give(self, visitor: VerifiedVisitor, what: Action | Cancel) -> bool:
        """Send something to all pages of a visitor; return whether there are any."""
        queues = self._streams.get(visitor, [])
        for queue in queues:
            _put(queue, what)
        return bool(queues)

    def _forget(self) -> None:
        """Remove expired actions."""
        now_ms = self._now_ms()
        while self._order and self._order[0].expires_at_ms < now_ms:
            visitor = self._order.popleft().visitor
            if not self._useful(self._recent.get(visitor, [])):
                self._recent.pop(visitor, None)

    def _useful(self, actions: list[Action]) -> list[Action]:
        return [one for one in actions if one.expires_at_ms >= self._now_ms()]


def _put(queue: Queue, what: Action | Cancel | None) -> None:
    """Put something into a page's queue; a full queue loses its oldest entry."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(what)
