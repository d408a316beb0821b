"""The end for anything unexpected: Faust would acknowledge and go on, which loses events."""

import asyncio
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

EXIT_CODE = 70


@contextmanager
def fatal(doing: str, but: type[BaseException] = GeneratorExit) -> Iterator[None]:
    """End the process with code 70 where the body raises: what was read is delivered again.

    Cancellation and what ``but`` names pass.

    The traceback is logged without the exception's own words, which may quote a record.
    """
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, but):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, going on would lose events
        trace = "".join(traceback.format_tb(error.__traceback__))
        log.critical("%s while %s; the worker ends\n%s", type(error).__name__, doing, trace)
        logging.shutdown()
        os._exit(EXIT_CODE)
