"""How fast one domain is written to: its mail servers take offence at more.

The one rule: a slot that has been given is used up, whether or not a mail follows.
"""

from collections import OrderedDict

MOST_DOMAINS = 10_000


class Pace:
    """At most so many mails a second to each domain."""

    def __init__(self, per_s: float) -> None:
        self._gap_ms = 1000 / per_s
        self._next_ms: OrderedDict[str, float] = OrderedDict()

    def next_ms(self, domain: str, now_ms: int) -> int:
        """Return when the domain may be written to next; now, and the slot is taken.

        Examples
        --------
        >>> pace = Pace(2)
        >>> pace.next_ms("shop.example", 0), pace.next_ms("shop.example", 100)
        (0, 500)
        >>> pace.next_ms("shop.example", 500)
        500
        """
        next_ms = max(now_ms, self._next_ms.get(domain, now_ms))
        if next_ms <= now_ms:
            self._next_ms[domain] = now_ms + self._gap_ms
            self._next_ms.move_to_end(domain)
            if len(self._next_ms) > MOST_DOMAINS:
                self._next_ms.popitem(last=False)
        return int(next_ms)
