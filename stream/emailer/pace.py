"""How fast mails go to one domain: its mail servers reject more.

A slot that has been taken is used up, whether or not a mail follows.
"""

from collections import OrderedDict

MOST_DOMAINS = 10_000


class Pace:
    """At most so many mails a second to each domain."""

    def __init__(self, per_s: float) -> None:
        self._gap_ms = 1000 / per_s
        self._next_ms: OrderedDict[str, float] = OrderedDict()

    def next_ms(self, domain: str, now_ms: int) -> int:
        """Return when the next mail may go to the domain; ``now_ms``: at once.

        Examples
        --------
        >>> pace = Pace(2)
        >>> pace.take("shop.example", 0)
        >>> pace.next_ms("shop.example", 100), pace.next_ms("other.example", 100)
        (500, 100)
        """
        return int(max(now_ms, self._next_ms.get(domain, now_ms)))

    def take(self, domain: str, now_ms: int) -> None:
        """Use up the slot of now."""
        self._next_ms[domain] = now_ms + self._gap_ms
        self._next_ms.move_to_end(domain)
        if len(self._next_ms) > MOST_DOMAINS:
            self._next_ms.popitem(last=False)
