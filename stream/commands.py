"""What each command calls: one function for each, with its options and the settings.

A command imports its module when it runs, so that ``--help`` is quick and ``replay`` needs neither
Kafka nor Redis.
"""
# ruff: noqa: PLC0415 - a command imports its module when it runs, see above

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from stream.config.settings import Settings

# An exit code, lines to print, or nothing.
Answer = int | Iterable[str] | None


def demo(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake demo``."""
    from stream import demo

    demo.run(seconds=options.seconds, rate=options.rate, seed=options.seed, settings=settings)
    return None


def create_topics(_: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake topics create``."""
    from stream.admin import topics

    return topics.create(settings)


def check_topics(_: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake topics check``."""
    from stream.admin import topics

    return topics.check(settings)


def worker(_: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake worker``."""
    from stream.worker import app

    return app.run_worker(settings)


def edge(_: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake edge``."""
    from stream.edge import serve

    return serve.run(settings)


def emailer(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake emailer``, or one test or preview of its mails."""
    from stream.emailer import preview, serve

    if options.test is not None:
        from stream.admin import trial

        return trial.mail(settings, options.test)
    return preview.run(settings) if options.preview else serve.run(settings)


def webhooks(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake webhooks``, or one test of an endpoint."""
    from stream.webhooks import serve

    if options.test is not None:
        from stream.admin import trial

        return trial.webhook(settings, options.test)
    return serve.run(settings)


def replay(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake replay``."""
    from stream import replay

    return replay.run(
        events=options.events, out=options.out, settings=settings, drain_s=options.drain
    )


def list_dead_letters(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake dead-letters list``."""
    from stream.admin import dead_letters

    return dead_letters.list_(settings, reason=options.reason, since=options.since)


def show_dead_letter(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake dead-letters show``."""
    from stream.admin import dead_letters

    return dead_letters.show(settings, options.place, value=options.value)


def replay_dead_letters(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake dead-letters replay``."""
    from stream.admin import dead_letters

    return dead_letters.replay(
        settings, reason=options.reason, since=options.since, dry_run=options.dry_run
    )


def doctor(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake doctor``."""
    from stream.admin import doctor
    from stream.config.loading import config_file

    return doctor.run(settings, config_file(options.config, os.environ), os.environ)


def status(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake status``."""
    from stream.admin import status

    return status.run(settings, as_json=options.json, watch=options.watch)


def tail(options: argparse.Namespace, settings: Settings) -> Answer:
    """Run ``cartwake tail``."""
    from stream.admin import tail

    return tail.run(settings, options.visitor)
