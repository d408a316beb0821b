"""The kinds of trigger: one file for each, and the registry that everything else loops over.

To add a kind, write its file and add it to `KINDS`.
"""

from typing import Final

from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT
from stream.domain.kinds.exit_intent import EXIT_INTENT
from stream.domain.kinds.kind import Kinds

# In the order of priority.
KINDS: Final = (EXIT_INTENT, CART_ABANDONMENT)
REGISTRY: Final = Kinds(KINDS)
KIND_OF: Final = REGISTRY.of
