"""The garbage collector, told that what a long-lived process has loaded is there to stay.

The one rule: it still runs, only seldom; nearly nothing here needs it, as records and states hold
no cycles.
"""

import gc
from typing import Final

# A batch under backlog makes tens of thousands of objects that live for a moment. Looked at every
# 700 of them, as Python does by itself, they took a quarter of a worker's time.
ALLOCATIONS: Final = 100_000


def settle() -> None:
    """Leave alone what is loaded by now, and look for garbage seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
