"""Retries, by stamina: the wait between two tries doubles up to a limit, with jitter.

Not used where the tries themselves are the subject: Redis inside a step (`Connection.ask` keeps a
count of failing calls and tells refusals from outages), messages (their waits are part of the
contract and survive in the log), and polling for a condition that is no failure.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

import stamina
from stamina.instrumentation import set_on_retry_hooks

# stamina would log each retry with the exception's own words, which may quote a record.
set_on_retry_hooks(())

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 2.0


def retries(
    *errors: type[Exception],
    failed: Callable[[Exception], object] = lambda _: None,
    longest_s: float | None = None,
    within_s: float | None = None,
) -> AsyncIterator[stamina.Attempt]:
    """Yield attempts until one ends without any of these errors; others are raised.

    ``failed`` hears of each failed attempt. After ``within_s`` the last error is raised; None: the
    attempts go on without end.

    Examples
    --------
    >>> import asyncio
    >>> answers = iter([TimeoutError(), "there"])
    >>> async def ask():
    ...     async for attempt in retries(TimeoutError, failed=print, longest_s=0):
    ...         with attempt:
    ...             if isinstance(answer := next(answers), Exception):
    ...                 raise answer
    ...             return answer
    >>> asyncio.run(ask())
    <BLANKLINE>
    'there'
    """

    def is_retried(error: Exception) -> bool:
        if not isinstance(error, errors):
            return False
        failed(error)
        return True

    longest = LONGEST_WAIT_S if longest_s is None else longest_s
    return aiter(
        stamina.retry_context(
            on=is_retried,
            attempts=None,
            timeout=within_s,
            wait_initial=min(FIRST_WAIT_S, longest),
            wait_max=longest,
            wait_jitter=min(FIRST_WAIT_S, longest),
        )
    )
