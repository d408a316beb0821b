"""The fault matrix, one small file a row; ``ROWS`` finds them by their name."""

from importlib import import_module
from pkgutil import iter_modules

from tests.faults.row import Row

ROWS: dict[int, Row] = {}
for _module in sorted(iter_modules(__path__), key=lambda it: it.name):
    _row = import_module(f"{__name__}.{_module.name}").ROW
    ROWS[_row.number] = _row
