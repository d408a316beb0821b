"""``python -m tests.demo.pictures``: takes the pictures of the README from a running demo."""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from tests.rig.browser import browser
from tests.rig.processes import (
    REPOSITORY,
    Program,
    cartwake_command,
    cartwake_environment,
    wait_until,
)

FOLDER = REPOSITORY / "docs" / "pictures"
VIEW = {"width": 900, "height": 560}
# A browser without a window calls itself one, and is taken for a robot.
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
ADDRESS = re.compile(r"a shop to click through: (http://\S+)")


def main() -> int:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        environment = cartwake_environment({"PYTHONUNBUFFERED": "1"})
        demo = Program(cartwake_command("demo"), Path(folder) / "log", environment)
        demo.start()
        try:
            wait_until(lambda: "all is ready" in demo.output, "the demo", 90)
            with browser() as running:
                page = running.new_page(viewport=VIEW, user_agent=PERSON)
                _visit(page, ADDRESS.search(demo.output)[1])
        finally:
            demo.stop()  # which ends what it has started
    return 0


def _visit(page: Page, shop: str) -> None:
    page.goto(shop)
    page.wait_for_selector(".card")
    page.screenshot(path=FOLDER / "shop.png")
    page.click("[data-choice=all]")
    page.click("a[href='#/product/first-flush']")
    page.click("#add")
    page.wait_for_selector("#order")
    page.wait_for_timeout(1_500)
    for y in (300, 100, -5):
        page.mouse.move(400, y)
    page.wait_for_selector("cartwake-dialog dialog")
    page.screenshot(path=FOLDER / "dialog.png")
    page.keyboard.press("Escape")
    page.goto(f"{shop}/inbox")
    page.click("main li a", timeout=60_000)
    page.wait_for_load_state()
    page.screenshot(path=FOLDER / "mail.png")


if __name__ == "__main__":
    sys.exit(main())
