"""The keys whose fold has failed lately: when each is tried again, and when there are too many.

One failing key never stops a shard, however often it fails. Many different ones do: then the
fault is most likely in the program, and going on would turn its whole input into dead letters.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Generic

from stream.shard.ports import KeyT
from stream.shard.visit import FoldDefect

MINUTE_MS: Final = 60_000

MAX_KEYS: Final = 10
WITHIN_MS: Final = 10 * MINUTE_MS
FIRST_RETRY_MS: Final = MINUTE_MS
LAST_RETRY_MS: Final = 60 * MINUTE_MS


class TooManyDefectiveKeys(Exception):  # noqa: N818 - it says what is wrong
    """More than ``MAX_KEYS`` different keys have failed within ``WITHIN_MS``."""

    todo = (
        "Nothing of the step is committed. The log above has the place in the code: upgrade to a"
        " version that mends it, or go back to the last one that worked, and restart."
    )

    def __init__(self, count: int, defects: Sequence[FoldDefect]) -> None:
        self.defects = defects
        super().__init__(
            f"the fold failed for {count} different keys within {WITHIN_MS // MINUTE_MS} minutes"
        )


class DefectiveKeys(Generic[KeyT]):
    """The keys of one shard that have failed since its claim."""

    def __init__(self) -> None:
        self._failed_ms: dict[KeyT, int] = {}
        self._tries: dict[KeyT, int] = {}

    def note(self, failed: Sequence[tuple[KeyT, FoldDefect]], now_ms: int) -> None:
        """Note what failed in a step.

        Raises
        ------
        TooManyDefectiveKeys
            Too many different keys have failed lately.
        """
        if not failed:
            return
        new = {key: now_ms for key, _ in failed}
        after_ms = now_ms - WITHIN_MS
        recent = {key: at_ms for key, at_ms in self._failed_ms.items() if at_ms > after_ms}
        self._failed_ms = recent | new
        if len(self._failed_ms) > MAX_KEYS:
            raise TooManyDefectiveKeys(len(self._failed_ms), [defect for _, defect in failed])

    def retry_ms(self, key: KeyT) -> int:
        """Return for how long to put off a wake-up that failed: twice as long each time."""
        tries = self._tries.get(key, 0)
        self._tries[key] = tries + 1
        return min(FIRST_RETRY_MS << min(tries, 10), LAST_RETRY_MS)

    def recovered(self, keys: Iterable[KeyT]) -> None:
        """Note keys whose wake-ups were handled."""
        if self._tries:
            for key in keys:
                self._tries.pop(key, None)
