"""The log of every process: lines for people on a terminal, one JSON object a line elsewhere.

Beside the message only ``FIELDS`` are written. Of an exception only its type and place are
written, because its text may quote a record.
"""

import logging
import os
import re
import sys
import threading
import traceback
from typing import Final

from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer, TimeStamper
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, Processor, WrappedLogger

from stream.errors import UsageError

# What ``extra=`` of a call may carry: nothing that could be a person's.
FIELDS: Final = ("shard", "shards", "topic", "partition", "offset", "reason")
VARIABLE: Final = "CARTWAKE_LOG"
# What asyncio puts behind its sentences: a callback's arguments, and tasks with their exceptions.
_QUOTED: Final = re.compile(r"\((?!\)).*|\n.*", re.DOTALL)

log = logging.getLogger(__name__)


def begin(level: str = "info") -> None:
    """Write everything from this level on, of libraries too, to standard error.

    Raises
    ------
    UsageError
        ``CARTWAKE_LOG`` is neither ``text`` nor ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_terminal = sys.stderr.isatty()
    chosen = os.environ.get(VARIABLE) or ("text" if is_terminal else "json")
    if chosen not in {"text", "json"}:
        raise UsageError(f"{VARIABLE}: {chosen!r} is neither text nor json")
    handler.setFormatter(text(colours=is_terminal) if chosen == "text" else json())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(capture=True)
    _catch_the_rest()


def text(*, colours: bool) -> logging.Formatter:
    """Return what makes lines for people: the sentences name their shards and offsets."""
    lines = ConsoleRenderer(colors=colours, timestamp_key="time", pad_event_to=0)
    return _formatter(ProcessorFormatter.remove_processors_meta, lines)


def json() -> logging.Formatter:
    """Return what makes lines for programs.

    Letters are not escaped: who looks whether somebody is named in it must find them.
    """
    return _formatter(
        ExtraAdder(FIELDS),
        ProcessorFormatter.remove_processors_meta,
        JSONRenderer(ensure_ascii=False),
    )


def _formatter(*last: Processor) -> logging.Formatter:
    return ProcessorFormatter(
        foreign_pre_chain=[
            add_log_level,
            add_logger_name,
            TimeStamper(fmt="iso", utc=True, key="time"),
            _without_quotes,
            _without_words,
        ],
        processors=last,
    )


def _without_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Tell an exception by its places and its kind, the one that caused it first."""
    if caught := event.pop("exc_info", None):
        chain: list[BaseException] = []
        error = caught[1]
        while error is not None and error not in chain:
            chain.insert(0, error)
            error = error.__cause__ or error.__context__
        event["exception"] = "\n".join(
            "".join(traceback.format_tb(one.__traceback__)) + type(one).__name__ for one in chain
        )
    return event


def _without_quotes(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave of what asyncio says the sentence: behind it stands what has failed, word by word."""
    if event["logger"] == "asyncio":
        event["event"] = _QUOTED.sub("", event["event"])
    return event


def _catch_the_rest() -> None:
    """Log what nobody has caught: Python would write it beside the log, in its own words."""
    sys.excepthook = lambda _, error, __: log.critical("The process ends", exc_info=error)
    threading.excepthook = lambda it: log.critical("A thread has ended", exc_info=it.exc_value)
    sys.unraisablehook = lambda it: log.error("Could not be cleared up", exc_info=it.exc_value)
