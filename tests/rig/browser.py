"""A real browser for tests: Chromium, driven by Playwright, without a window.

The one rule: one browser for a module of tests, and a fresh context, without anything stored, for
each of them.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.rig.processes import Unavailable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without them it looks for news on the network, again and again.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of the machine's Chromium.

    Raises
    ------
    Unavailable
        There is none.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise Unavailable("no Chromium on the PATH; on Debian: apt-get install chromium")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a running browser."""
    program = chromium()
    # As root it cannot make its sandbox.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield running
        finally:
            running.close()
