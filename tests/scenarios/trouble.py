"""What goes wrong: a worker that is killed, a Redis with an older copy of its data."""

from stream.edge.memory import MemorySink


class Crash(Exception):  # noqa: N818 - stands for the end of a process
    """The worker is gone."""


class Crashing(MemorySink):
    """A sink whose worker is killed: before it publishes, or before it can say that it has."""

    def __init__(self):
        super().__init__()
        self.before = self.after = False

    async def publish(self, entries, looked):
        if self.before:
            raise Crash
        done = await super().publish(entries)
        if self.after:
            raise Crash
        return done


def copied(store):
    """Return a copy of what a store in memory holds, as an older copy of Redis's files would be."""
    return {number: _copy_of(kept) for number, kept in store._shards.items()}


def _copy_of(kept):
    fields = {name: getattr(kept, name) for name in kept.__struct_fields__}
    return type(kept)(
        **{k: v.copy() if isinstance(v, dict | list) else v for k, v in fields.items()}
    )
