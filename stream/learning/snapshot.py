"""The models at one moment, as bytes that any worker can read.

Plain data only, no pickle: a program that can write to Redis must not be able to run code in a
worker. A worker refuses a snapshot that it cannot read, and learns again from the topic.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from river.__version__ import __version__ as river_version

from stream.learning.progress import TrainingProgress

FORMAT: Final = 1
# The name of ``stream.learning.recipes``. What only looks at snapshots does without River, whose
# imports take longer than all others together.
RECIPE: Final = "logistic-adagrad-1"

# Far beyond any learnt value; the bounds also exclude NaN.
Weight = Annotated[float, Meta(ge=-1e6, le=1e6)]
SquareSum = Annotated[float, Meta(ge=0, le=1e18)]
Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class UnreadableSnapshot(ValueError):  # noqa: N818 (named for what the caller has to handle)
    """The recipe of this version cannot continue from these bytes."""


class NewerSnapshot(UnreadableSnapshot):
    """A newer version has written it: this version must not overwrite it."""


class ModelState(Struct, frozen=True):
    """What a model has learnt: for each feature the weight and the sum of squared gradients."""

    intercept: Weight
    weights: dict[str, Weight]
    squares: dict[str, SquareSum]
    progress: TrainingProgress


class Snapshot(Struct, frozen=True, kw_only=True):
    """All models, and the ``offset`` in the topic of examples from which they continue to learn.

    ``river`` is the version that learnt them, for information; ``recipe`` decides whether a
    snapshot can be read.
    """

    format: int = FORMAT
    recipe: str = RECIPE
    river: str = river_version
    offset: Offset
    models: dict[str, ModelState]

    @property
    def versions(self) -> dict[str, int]:
        """The number of examples that each model has learnt."""
        return {name: state.progress.examples for name, state in self.models.items()}


class _Header(Struct):
    format: int
    recipe: str


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot as MessagePack, the same bytes for the same snapshot."""
    return msgspec.msgpack.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """Read what ``encode`` wrote, in this or another process.

    Raises
    ------
    NewerSnapshot
        If its format is newer than this version's.
    UnreadableSnapshot
        If it is damaged, or of an older format or another recipe. The caller then learns from the
        start of the topic, and serves the prior meanwhile.
    """
    try:
        header = msgspec.msgpack.decode(data, type=_Header)
        if header.format > FORMAT:
            raise NewerSnapshot(f"they have format {header.format}, this version reads {FORMAT}")
        if (header.format, header.recipe) != (FORMAT, RECIPE):
            raise UnreadableSnapshot(
                f"snapshot is of format {header.format} and recipe {header.recipe!r}, "
                f"expected {FORMAT} and {RECIPE!r}"
            )
        return msgspec.msgpack.decode(data, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableSnapshot(f"snapshot is damaged: {error}") from error
