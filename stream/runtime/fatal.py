"""The end of the process after an unexpected exception, in a task or at the top of a program.

A process does not go on after an unforeseen exception: Faust would acknowledge the failed records,
which loses events. The supervisor starts it again.
"""

import asyncio
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stream.errors import CartwakeError

log = logging.getLogger(__name__)

EXIT_CODE = 70
TOLD_TO_STOP: Final = (asyncio.CancelledError, GeneratorExit)
# What may end a whole process and is no defect: what people can mend, and Ctrl-C.
FORESEEN: Final = (CartwakeError, KeyboardInterrupt)


@contextmanager
def fatal(doing: str, but: tuple[type[BaseException], ...] = TOLD_TO_STOP) -> Iterator[None]:
    """End the process with code 70 where the body raises: what was read is delivered again.

    What ``but`` names passes: around a task's work ``TOLD_TO_STOP``, around a process ``FORESEEN``.

    The traceback is logged without the exception's own words, which may quote a record.
    """
    try:
        yield
    except but:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, going on would lose events
        trace = "".join(traceback.format_tb(error.__traceback__))
        log.critical("%s while %s; the process ends\n%s", type(error).__name__, doing, trace)
        logging.shutdown()
        os._exit(EXIT_CODE)
