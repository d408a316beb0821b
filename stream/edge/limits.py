"""Limits of an edge: requests and records in a second, by address, visitor and key.

A request costs what its records cost, so records are counted as well: an event counts once at
least, and a record once for each KiB of it. Consent has room of its own, which nothing else uses
up, and is taken from requests over a limit as well. An address is compared here and stored nowhere
else. Each edge counts for itself, so several edges behind a balancer together allow a multiple of
each limit.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final, Literal, NamedTuple

from stream.config.edge import EdgeKey
from stream.config.settings import EdgeSettings
from stream.edge.answers import RequestRefused
from stream.edge.collector.prepare import PreparedRecord

SECOND_MS: Final = 1000
KIB: Final = 1024
# What one request may cost, whatever the limits are: it is worked on in one piece.
MOST_OF_A_REQUEST: Final = 10_000

Room = Literal["all", "consent"]
Unit = Literal["requests", "records"]
By = Literal["address", "visitor", "key"]


class Payer(NamedTuple):
    """Whose limits a request counts against.

    The key is None while it is not read. The address is None with a server's key: all requests of
    a shop's servers come from one address.
    """

    key: EdgeKey | None
    address: str | None


class Charge(NamedTuple):
    """An amount of what one address, visitor or key may send in a second."""

    unit: Unit
    by: By
    name: str
    amount: int


class Limits:
    """Counts in windows of one second; what is refused is not counted."""

    def __init__(self, edge: EdgeSettings, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._second = 0
        self._spent: Counter[tuple[Room, Unit, By, str]] = Counter()
        self._most: dict[tuple[Unit, By], int] = {
            ("requests", "address"): edge.requests_per_s_per_address,
            ("requests", "key"): edge.requests_per_s_per_key,
            ("records", "address"): edge.records_per_s_per_address,
            ("records", "visitor"): edge.records_per_s_per_visitor,
            ("records", "key"): edge.records_per_s_per_key,
        }

    @property
    def requests_per_minute(self) -> int:
        """What one key may send."""
        return 60 * self._most["requests", "key"]

    def count_request(self, payer: Payer) -> RequestRefused | None:
        """Count a request; return the refusal if it is one too many."""
        return self._spend("all", _of_payer("requests", payer, 1))

    def count_events(self, payer: Payer, amount: int) -> RequestRefused | None:
        """Count events before they are read; return the refusal if they are too many."""
        return self._spend("all", _of_payer("records", payer, amount))

    def count_records(
        self, payer: Payer, records: Sequence[PreparedRecord], paid: int
    ) -> RequestRefused | None:
        """Count records of which so much has been counted as events."""
        rest = max(0, sum(map(cost_of, records)) - paid)
        charges = _of_payer("records", payer, rest)
        return self._spend("all", [*_of_visitors(payer, records), *charges])

    def count_consent(
        self, payer: Payer, records: Sequence[PreparedRecord]
    ) -> RequestRefused | None:
        """Count records of consent, in their own room."""
        amount = sum(map(cost_of, records))
        # Not the key of a page: no flood of others uses up what a shop's shoppers need.
        by = payer if payer.address is None else Payer(None, payer.address)
        charges = _of_payer("records", by, amount)
        return self._spend("consent", [*_of_visitors(payer, records), *charges])

    def most_of(self, payer: Payer) -> int:
        """Return what one request may cost: more would never fit into a second."""
        limits = (self._most[one.unit, one.by] for one in _of_payer("records", payer, 1))
        return min(MOST_OF_A_REQUEST, *limits)

    def _spend(self, room: Room, charges: Sequence[Charge]) -> RequestRefused | None:
        """Count all charges, or none of them and return the refusal of the first too many."""
        second = self._now_ms() // SECOND_MS
        if second != self._second:
            self._second = second
            self._spent.clear()
        for one in charges:
            most = self._most[one.unit, one.by]
            if self._spent[room, one.unit, one.by, one.name] + one.amount > most:
                return _refused(one, most)
        for one in charges:
            self._spent[room, one.unit, one.by, one.name] += one.amount
        return None


def cost_of(record: PreparedRecord) -> int:
    """Return how often a record counts: once, and once more for each whole KiB."""
    return 1 + len(record.value) // KIB


def too_many(most: int) -> RequestRefused:
    """Return the refusal of a request that would never fit into a second."""
    detail = f"body: counts more than {most} records; send them in smaller requests"
    return RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)


def _of_payer(unit: Unit, payer: Payer, amount: int) -> list[Charge]:
    charges = []
    # The address comes first: who asks too often uses up nothing of the shop's.
    if payer.address is not None:
        charges.append(Charge(unit, "address", payer.address, amount))
    if payer.key is not None:
        charges.append(Charge(unit, "key", payer.key.key, amount))
    return charges


def _of_visitors(payer: Payer, records: Iterable[PreparedRecord]) -> list[Charge]:
    """Return what each visitor of a page is charged; a server may send one's whole history."""
    if payer.address is None:
        return []
    costs: Counter[str] = Counter()
    for record in records:
        costs[record.key.decode()] += cost_of(record)
    tenant = payer.key.tenant if payer.key else ""
    return [
        Charge("records", "visitor", f"{tenant} {visitor}", cost) for visitor, cost in costs.items()
    ]


def _refused(charge: Charge, most: int) -> RequestRefused:
    if charge.amount > most:
        return too_many(most)
    detail = f"more than {most} {charge.unit} in a second by one {charge.by}"
    return RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail, 1)
