"""The page: from an exit signal to the dialog in a real browser, and what the script costs on load.

The one rule: a whole demo runs behind it, worker, edge and shop, as ``make demo`` starts it; the
clock is the page's own.
"""

import re
import time
from pathlib import Path

from playwright.sync_api import Browser, Error

from bench.events import Log
from bench.results import Run, latencies
from tests.rig.browser import browser
from tests.rig.processes import Program, cartwake_command, cartwake_environment, wait_until

RUNS = 200
LOOK_S = 0.8  # the demo's shortest look at a page, and a little
PERSON = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    " Safari/537.36"
)
# Nobody is held out, so that everybody is to see it.
SETTINGS = {"CARTWAKE_HOLDOUT__FRACTION": "0"}
WATCH = """() => {
    const leave = () => { window.left = performance.now() };
    document.documentElement.addEventListener('mouseleave', leave, {capture: true});
    new MutationObserver(() => {
        if (document.querySelector('cartwake-dialog')) window.shown = performance.now();
    }).observe(document.body, {childList: true});
}"""


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:  # noqa: ARG001 - makes its own
    """Walk out of the demo's shop again and again."""
    run.source = "the demo's shop"
    with browser() as chromium:
        for repeat in range(1, repeats + 1):
            program = Program(
                cartwake_command("demo", "--seed", "7", "--rate", "50"),
                folder / f"demo-{repeat}.log",
                cartwake_environment(SETTINGS),
            )
            program.start()
            try:
                ready = lambda: "all is ready" in program.output or not program.running  # noqa: E731, B023
                wait_until(ready, "the demo", 90)
                shop = re.search(r"http://[\d.:]+", program.output)[0]
                run.note("signal to dialog", repeat, exits(chromium, shop))
                run.note("script on load", repeat, loads(chromium, shop))
            finally:
                program.stop(60)


def exits(chromium: Browser, shop: str) -> dict[str, float]:
    """Let one visitor after the other leave through the top; return how long the dialog took."""
    took_ms = [_left(chromium, shop) for _ in range(RUNS)]
    seen = [one for one in took_ms if one is not None]
    return latencies(seen) | {"runs": len(took_ms), "without_a_dialog": len(took_ms) - len(seen)}


def _left(chromium: Browser, shop: str) -> float | None:
    context = chromium.new_context(user_agent=PERSON)
    page = context.new_page()
    try:
        page.goto(shop)
        page.click("[data-choice=all]")
        page.click("text=Evening Oolong")
        page.click("#add")
        page.wait_for_selector("#order")
        page.evaluate(WATCH)
        time.sleep(LOOK_S)
        page.mouse.move(400, 300)
        page.mouse.move(400, 100)
        page.mouse.move(400, -5)
        page.wait_for_selector("cartwake-dialog dialog", timeout=5_000)
        return float(page.evaluate("window.shown - window.left"))
    except Error:  # no dialog came in time
        return None
    finally:
        context.close()


def loads(chromium: Browser, shop: str) -> dict[str, float]:
    """Return the main thread's work for a page with the script and without, ms."""
    with_it = [_load_ms(chromium, shop, blocked=False) for _ in range(10)]
    without = [_load_ms(chromium, shop, blocked=True) for _ in range(10)]
    middle, bare = sorted(with_it)[5], sorted(without)[5]
    return {"main_thread_ms": middle, "without_script_ms": bare, "script_ms": middle - bare}


def _load_ms(chromium: Browser, shop: str, *, blocked: bool) -> float:
    context = chromium.new_context(user_agent=PERSON)
    if blocked:
        context.route("**/cartwake.js", lambda route: route.abort())
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    page.goto(shop, wait_until="networkidle")
    told = session.send("Performance.getMetrics")["metrics"]
    context.close()
    return 1000 * next(one["value"] for one in told if one["name"] == "TaskDuration")
