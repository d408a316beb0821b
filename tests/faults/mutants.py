"""Workers with one guard removed: each must turn a row of the campaign red.

``python -m tests.faults.mutants NAME`` runs a worker without that guard. The one rule: a mutant
takes away what its name says, and nothing else.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from stream.domain import decisions
from stream.edge import codec, facts, outgoing
from stream.edge.kafka import owned, sink
from stream.edge.redis.connection import Connection
from stream.shard.shard import Shard

Remove = Callable[[], None]


class Mutant(NamedTuple):
    """What is removed, the row that must notice, its clock, and the invariants that must break."""

    remove: Remove
    row: int
    clock: str
    breaks: tuple[str, ...]


def _fence() -> None:
    """Let whoever wants write a shard: neither the owner's token nor its watermark is looked at."""
    _in_script("commit", "if held[1] ~= ARGV[1] then", "if false then")
    _in_script("commit", "if (held[2] or '') ~= ARGV[3] then", "if false then")


def _repeated_commit() -> None:
    """Take a commit that was written, and whose answer was lost, for one that has failed."""
    _in_script("commit", "if held[2] == ARGV[4] then", "if false then")
    _in_script("commit", "if (held[2] or '') ~= ARGV[3] then", "if false then")


def _watermark() -> None:
    """Write upon whatever Redis holds, also where that is older than what this owner left."""
    _in_script("commit", "if (held[2] or '') ~= ARGV[3] then", "if false then")


def _outbox() -> None:
    """Forget, on taking a shard, what was committed and not published."""

    async def resume(self: Shard, **_: Any) -> int:
        waiting = await self._store.outbox(self.owner)
        await self._store.remove(self.owner, [entry_id for entry_id, _ in waiting])
        return 0

    Shard.resume = resume


def _same_body() -> None:
    """Let the body of a trigger depend on when it is made."""
    encode = outgoing.encode_record
    made = iter(range(10**9))

    def differing(effect: Any) -> bytes:
        value = encode(effect)
        if hasattr(effect, "evidence"):
            value = value[:-1] + b',"made":%d}' % next(made)
        return value

    outgoing.encode_record = differing


def _consent() -> None:
    """Decide as if everything were granted."""
    decisions.stands = decisions.permits = lambda *_: True
    _last_look()


def _last_look() -> None:
    """Send whatever the outbox holds."""
    from stream.shard import shard  # noqa: PLC0415 - the module beside the class of the same name

    shard.lets_pass = lambda *_: True


def _old_look() -> None:
    """Trust a look at consent for ever, as one who was frozen since would."""
    sink.KafkaSink._is_fresh = lambda *_: True


def _dead_letters() -> None:
    """Drop what can never be processed, without a word."""
    read = facts.read
    owned.read = lambda records: [
        one for one in read(records) if not isinstance(one, facts.DeadLetter)
    ]


def _silence() -> None:
    """Repeat in an error what was read."""
    init = codec.Rejected.__init__

    def told(self: Any, reason: Any, detail: str) -> None:
        init(self, reason, f"{detail} (zoe.4711@shop.example)")

    codec.Rejected.__init__ = told


def _backlog() -> None:
    """Take the wall clock for the shard's: timers are due while a backlog drains."""
    clock = owned.LiveClock
    owned.LiveClock = lambda before_ms, _, wall_ms: clock(before_ms, wall_ms, wall_ms)
    owned.Owned._is_due = lambda self, *, live: (
        self.shard.owner.next_due_ms is not None and self.shard.owner.next_due_ms <= owned_now()
    )


def owned_now() -> int:
    """Return the wall clock."""
    import time  # noqa: PLC0415 - of one mutant alone

    return time.time_ns() // 1_000_000


MUTANTS: dict[str, Mutant] = {}


def _in_script(name: str, guard: str, instead: str) -> None:
    """Replace a line of one of the atomic steps."""
    script = Connection.script

    def changed(self: Connection, asked: str) -> Any:
        made = script(self, asked)
        if asked == name:
            assert guard in made._source
            made._source = made._source.replace(guard, instead)
            made._hash = "0" * 40  # so that it is always sent in full
        return made

    Connection.script = changed
