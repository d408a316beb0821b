"""Tuning of Python's garbage collector: objects of a loaded program are frozen.

The collector still runs, but seldom: records and states have no reference cycles.
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
