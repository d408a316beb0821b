"""What interfaces.md says of events, a second time and plainly: sections 1 (decoding) and 3.

The one rule: nothing here comes from ``stream``, and nothing is clever. Whoever doubts a result
reads the contract's paragraph and the few lines that repeat it: ``decoding.py`` has section 1,
``consent.py``, ``cart.py``, ``events.py``, ``decisions.py`` and ``clock.py`` have section 3. Where
the contract can be read in two ways, docs/contract-notes.md decides.

Ids that the product makes by hashing (``trigger_id``, ``decision_id``, ``fingerprint``,
``session``) are unknown here: a decision is known by kind, tenant, visitor, and step with due
moment or the signal's event id; a cart's contents by ids, variants and quantities.
"""

from tests.reference.clock import run
from tests.reference.shop import Policy, Result

__all__ = ["Policy", "Result", "run"]
