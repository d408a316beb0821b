"""The command line: its arguments, the settings, and what a command answers.

What a command calls is in ``commands``. Settings are read only when a command runs.
"""
# ruff: noqa: PLC0415 - a command imports its module when it runs, see above

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stream import __version__, commands
from stream.arguments import Parser, add_config, events, folder, moment, number, place, seed
from stream.errors import CartwakeError

if TYPE_CHECKING:
    from stream.commands import Answer
    from stream.config.settings import Settings

INTERRUPTED = 130
DRAIN_S = 2700
CENTURY_S = 36_525 * 86_400
MAX_RATE = 1_000_000

# Makes the parser of a sub-command.
Add = Callable[..., "Parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        try:
            return _run(argv)
        finally:
            # A closed pipe is noticed here, without a traceback.
            sys.stdout.flush()
    except CartwakeError as error:
        print(f"cartwake: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: Sequence[str] | None) -> int:
    options = parser().parse_args(argv)
    from stream.config.loading import load

    answer: Answer = options.call(options, load(options.config, os.environ))
    if isinstance(answer, int):
        return answer
    for line in [answer] if isinstance(answer, str) else answer or ():
        print(line)
    return 0


def parser() -> Parser:
    """Return the parser of all verbs; ``call`` of what it returns runs the chosen one."""
    top = Parser(
        prog="cartwake",
        description="Acts on abandoned carts and leaving shoppers, and never against them.",
        epilog="Example: cartwake demo --seconds 25 --seed 7",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"cartwake {__version__}")
    add_config(top, default=None)
    verbs = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _add_demo,
        _add_topics,
        _add_worker,
        _add_edge,
        _add_emailer,
        _add_webhooks,
        _add_replay,
        _add_dead_letters,
        _add_doctor,
        _add_status,
        _add_tail,
        _add_completion,
    ):
        add(verbs.add_parser)
    return top


def _add_command(
    add: Add, name: str, does: str, example: str, call: Callable[..., Answer] | None
) -> Parser:
    """Add a command; without ``call`` it has sub-commands."""
    command = add(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.",
        epilog=f"Example: {example}",
        allow_abbrev=False,
    )
    # SUPPRESS: a default here would overwrite a --config given before the command.
    add_config(command, default=argparse.SUPPRESS)
    if call:
        command.set_defaults(call=call)
    return command


def _add_demo(add: Add) -> None:
    does = "run everything on this machine: broker, Redis, simulated shoppers and a worker"
    demo = _add_command(add, "demo", does, "cartwake demo --seconds 25 --seed 7", commands.demo)
    demo.add_argument(
        "--seconds", type=number(CENTURY_S), metavar="N", help="end after so many seconds"
    )
    demo.add_argument(
        "--rate",
        type=number(MAX_RATE),
        metavar="EVENTS_PER_S",
        help="events of the shop per second",
    )
    demo.add_argument(
        "--seed", type=seed, metavar="N", help="the same seed makes the same shoppers"
    )


def _add_topics(add: Add) -> None:
    does = "create the topics, or check them"
    topics = _add_command(add, "topics", does, "cartwake topics check", None)
    verbs = topics.add_subparsers(dest="verb", metavar="create|check", required=True)
    example = "cartwake topics create --config cartwake.toml"
    _add_command(
        verbs.add_parser,
        "create",
        "create the topics that are missing",
        example,
        commands.create_topics,
    )
    example = "cartwake topics check --config cartwake.toml"
    _add_command(
        verbs.add_parser, "check", "check partitions and settings", example, commands.check_topics
    )


def _add_worker(add: Add) -> None:
    does = "process events; as many workers as there are partitions may run"
    _add_command(add, "worker", does, "cartwake worker --config cartwake.toml", commands.worker)


def _add_edge(add: Add) -> None:
    does = "receive events by HTTP, and send on-site triggers to the page; any number may run"
    _add_command(add, "edge", does, "cartwake edge --config cartwake.toml", commands.edge)


def _add_emailer(add: Add) -> None:
    does = "send one mail for each trigger, or none if in doubt; any number may run"
    emailer = _add_command(
        add, "emailer", does, "cartwake emailer --config cartwake.toml", commands.emailer
    )
    emailer.add_argument(
        "--preview", action="store_true", help="show the mails in a browser, and send none"
    )
    emailer.add_argument(
        "--test",
        metavar="VISITOR",
        help="send this visitor one mail that is marked as a test, and end; consent is not asked",
    )


def _add_webhooks(add: Add) -> None:
    does = "post signed triggers to the shop's endpoints, with retries"
    webhooks = _add_command(
        add, "webhooks", does, "cartwake webhooks --config cartwake.toml", commands.webhooks
    )
    webhooks.add_argument(
        "--test", metavar="NAME", help="post one trigger with the reason 'test' there, and end"
    )


def _add_replay(add: Add) -> None:
    does = "process a file of events on the events' own clock, without Kafka and Redis"
    example = "cartwake replay march.jsonl.gz --out march/"
    replay = _add_command(add, "replay", does, example, commands.replay)
    replay.add_argument(
        "events", type=events, metavar="EVENTS", help="a .jsonl or .jsonl.gz file, or - for stdin"
    )
    replay.add_argument(
        "--out", type=folder, metavar="DIR", required=True, help="folder for the results"
    )
    replay.add_argument(
        "--drain",
        type=number(CENTURY_S, zero=True),
        default=DRAIN_S,
        metavar="SECONDS",
        help="let timers fire until this long after the last event (default: %(default)s)",
    )


def _add_dead_letters(add: Add) -> None:
    does = "show dead letters, or send them to their topics again"
    example = "cartwake dead-letters list --since 2h"
    letters = _add_command(add, "dead-letters", does, example, None)
    verbs = letters.add_subparsers(dest="verb", metavar="list|show|replay", required=True)
    listing = _add_command(
        verbs.add_parser, "list", "show dead letters", example, commands.list_dead_letters
    )
    example = "cartwake dead-letters show cart-events-3-4711"
    one = _add_command(verbs.add_parser, "show", "show one", example, commands.show_dead_letter)
    one.add_argument(
        "place", type=place, metavar="TOPIC-PARTITION-OFFSET", help="where the record was read"
    )
    one.add_argument(
        "--value", action="store_true", help="show its key and value, too, which are personal data"
    )
    example = "cartwake dead-letters replay --reason unknown_type --dry-run"
    replay = _add_command(
        verbs.add_parser,
        "replay",
        "send dead letters back to their topics",
        example,
        commands.replay_dead_letters,
    )
    for verb in (listing, replay):
        verb.add_argument("--reason", metavar="R", help="only those with this reason")
        verb.add_argument(
            "--since",
            type=moment,
            metavar="T",
            help="only those since an ISO 8601 time (without an offset: UTC), or 30m, 2h, 7d ago",
        )
    listing.add_argument("--dry-run", action="store_true", help="no effect: a list changes nothing")
    replay.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, and send nothing"
    )


def _add_doctor(add: Add) -> None:
    does = "check settings, Kafka, Redis and endpoints, and say what to do; changes nothing"
    _add_command(add, "doctor", does, "cartwake doctor --config cartwake.toml", commands.doctor)


def _add_status(add: Add) -> None:
    does = "show shards, owners, lag, timers and models; changes nothing"
    status = _add_command(add, "status", does, "cartwake status --watch", commands.status)
    status.add_argument("--json", action="store_true", help="one JSON object, for programs")
    status.add_argument("--watch", action="store_true", help="again every 2 s, until Ctrl-C")


def _add_tail(add: Add) -> None:
    does = "show the newest events, what became of them and why, and decisions; then live"
    tail = _add_command(add, "tail", does, "cartwake tail --visitor 4f2a", commands.tail)
    tail.add_argument("--visitor", metavar="V", help="only those of this visitor")


def _add_completion(add: Add) -> None:
    does = "print the completion of commands and options for a shell"
    completion = _add_command(add, "completion", does, "cartwake completion bash", _completion)
    completion.add_argument("shell", choices=("bash", "zsh"), metavar="bash|zsh")


def _completion(options: argparse.Namespace, _: Settings) -> Answer:
    from stream.completion import script

    return script(parser(), options.shell)
