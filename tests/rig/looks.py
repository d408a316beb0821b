"""What is wrong with a page for those who see, hear or touch it otherwise: axe, widths, targets.

The one rule: a page is judged by day and by night, at a desk and on a phone.
"""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 375, "height": 700}}
VIEWS = [(scheme, size) for scheme in ("light", "dark") for size in SIZES]
# WCAG 2.2, 2.5.8: a target that stands alone is at least so high.
TARGET_PX = 24
WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"
TARGETS = """low => [...document.querySelectorAll('a, button, input:not([type=hidden])')]
    .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
    .filter(([, place]) => place.width && place.x >= 0 && place.height < low)
    .map(([html]) => html)"""


def view(scheme: str, size: str) -> dict[str, object]:
    """Return the options of a browser's context for a colour scheme and a size."""
    return {"viewport": SIZES[size], "color_scheme": scheme, "bypass_csp": True}


def faults(page: Page, within: str | None = None, ignored: tuple[str, ...] = ()) -> list[str]:
    """Return what is wrong with a page, or with the parts of it that a selector names."""
    rules = {rule: {"enabled": False} for rule in ignored}
    told = Axe().run(page, context=within, options={"rules": rules}).response
    found = [
        f"{one['id']}: {node['html'][:160]}: {node['failureSummary']}"
        for one in told["violations"]
        for node in one["nodes"]
    ]
    wide, there = page.evaluate(WIDTHS)
    if within is None and wide > there:
        found.append(f"wider than the window: {wide} of {there}")
    low = page.evaluate(TARGETS, TARGET_PX) if within is None else []
    return found + [f"too low for a finger: {one}" for one in low]
