"""Workers with one guard removed: each must turn a row of the campaign red.

``python -m tests.faults.mutants NAME`` runs a worker without that guard. The one rule: a mutant
takes away what its name says, and nothing else.
"""

import sys
import time
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from stream import cli
from stream.adapters.kafka import sink
from stream.adapters.redis.connection import Connection
from stream.adapters.wire import codec, outgoing
from stream.domain import fold
from stream.domain.campaign import arbiter
from stream.entities.visitors import VisitorEntity
from stream.runtime import worker_clock
from stream.shard import shard
from stream.shard.ports import DeadLetter
from stream.worker import claimed, shards
from tests.faults.traffic import SECRET


class Mutant(NamedTuple):
    """What is removed, the row that must notice and its clock, and what must be red then."""

    remove: Callable[[], None]
    row: int
    clock: str
    red: str


def _outbox() -> None:
    """Forget, on taking a shard, what was committed and not published."""

    async def resume(self: shard.Shard, **_: Any) -> int:
        waiting = await self._store.outbox(self.owner)
        await self._store.remove(self.owner, [entry_id for entry_id, _ in waiting])
        return 0

    shard.Shard.resume = resume


def _watermark() -> None:
    """Write upon whatever Redis holds, also where that is older than what this owner left."""
    _in_script("commit", "if (held[2] or '') ~= ARGV[3] then", "if false then")


def _duplicates() -> None:
    """Apply every event that is read, however often its producer has sent it."""
    fold._is_repeated = lambda *_: False


def _same_body() -> None:
    """Let the body of a trigger depend on when it is made."""
    encode = outgoing.encode_record

    def differing(effect: Any) -> bytes:
        value: bytes = encode(effect)
        is_trigger = hasattr(effect, "evidence")
        return value[:-1] + b',"made":%d}' % time.time_ns() if is_trigger else value

    outgoing.encode_record = differing


def _consent() -> None:
    """Let a refusal drop nothing, decide as if all were granted, and look no last time."""
    fold.refuse = lambda *_: None
    arbiter.permits = arbiter.stands = lambda *_: True
    shard.lets_pass = lambda *_: True


def _age_of_the_look() -> None:
    """Trust a look at consent for ever, as one who was frozen since would."""
    sink.KafkaSink._left_s = lambda *_: inf


def _fence() -> None:
    """Let whoever likes write a shard: neither token nor watermark is looked at."""
    _in_script("commit", "if held[1] ~= ARGV[1] then", "if false then")
    _watermark()


def _dead_letters() -> None:
    """Drop what can never be processed, without a word."""
    read = VisitorEntity.read
    VisitorEntity.read = staticmethod(
        lambda records: [it for it in read(records) if not isinstance(it, DeadLetter)]
    )


def _limit() -> None:
    """Make dead letters of a whole input, where that is what it holds."""
    shards.Shards._excess = lambda *_: None


def _silence() -> None:
    """Repeat in an error what was read."""
    init = codec.Rejected.__init__

    def told(self: Any, reason: Any, detail: str) -> None:
        init(self, reason, f"{detail}: {SECRET}")

    codec.Rejected.__init__ = told


def _backlog() -> None:
    """Take the wall clock for the shard's: timers are due while a backlog drains.

    In small steps, or the row's backlog would be one: in a step facts come before timers anyway.
    """
    claimed.MAX_BATCH = 20
    claimed.Merge.clock_ms = property(lambda _: time.time_ns() // 1_000_000)


def _clocks() -> None:
    """Follow the wall clock of the machine, wherever it jumps."""
    now: Callable[[Any], int] = lambda _: time.time_ns() // 1_000_000  # noqa: E731
    worker_clock.WorkerClock.now_ms = worker_clock.WorkerClock.moment_ms = now


MUTANTS = {
    "outbox": Mutant(_outbox, 2, "records", "I1"),
    "watermark": Mutant(_watermark, 10, "records", "row"),
    "duplicates": Mutant(_duplicates, 18, "records", "I2"),
    "same-body": Mutant(_same_body, 11, "records", "I3"),
    "consent": Mutant(_consent, 20, "live", "I4"),
    "age-of-the-look": Mutant(_age_of_the_look, 3, "live", "I4"),
    "fence": Mutant(_fence, 3, "live", "I5"),
    "dead-letters": Mutant(_dead_letters, 21, "records", "row"),
    "limit": Mutant(_limit, 21, "records", "row"),
    "silence": Mutant(_silence, 21, "records", "I7"),
    "backlog": Mutant(_backlog, 19, "live", "I1"),
    "clocks": Mutant(_clocks, 16, "live", "row"),
}


def _in_script(name: str, guard: str, instead: str) -> None:
    """Replace a piece of one of the atomic steps."""
    script = Connection.script

    def changed(self: Connection, asked: str) -> Any:
        made: Any = script(self, asked)
        if asked == name:
            assert guard in made._source, f"{name}.lua has no longer: {guard}"
            made._source = made._source.replace(guard, instead)
            made._hash = "0" * 40  # never known, so that it is sent in full
        return made

    Connection.script = changed


def main() -> int:
    """Run a worker without the guard that is named."""
    MUTANTS[sys.argv[1]].remove()
    return cli.main(["worker"])


if __name__ == "__main__":
    sys.exit(main())
