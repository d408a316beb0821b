"""Everything at random, for as long as is asked."""

from tests.faults.soak import ROW

__all__ = ["ROW"]
