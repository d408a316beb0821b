"""Finds whose a vendor's webhook is, by the names that earlier events of the vendor had.

Only for shops whose vendors use such names; for all others nothing is looked up or kept.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from stream.edge.answers import RequestRefused, unavailable
from stream.edge.collector.outcome import EventOutcome
from stream.edge.collector.prepare import ConsentChange, PreparedRecord
from stream.edge.references import Found, References, ReferencesUnavailable
from stream.mappers import SEARCHED_NAMES, Hints

log = logging.getLogger(__name__)


class VisitorNames:
    """The names of the visitors of ``tenants``."""

    def __init__(self, references: References, tenants: Iterable[str]) -> None:
        self._references, self._tenants = references, frozenset(tenants)

    async def find(self, tenant: str, vendor: str, events: Sequence[Any], hints: Hints) -> Found:
        """Return the visitors of all names in a vendor's webhooks.

        Raises
        ------
        RequestRefused
            503: Redis does not answer.
        """
        names = [name for event in events for name in _searched(vendor, event, hints)]
        if not names or tenant not in self._tenants:
            return {}
        try:
            return await self._references.find(tenant, names)
        except ReferencesUnavailable:
            raise _unavailable() from None

    async def note_choices(self, tenant: str, consent: Sequence[PreparedRecord]) -> None:
        """Forget the names of visitors who want it; of those who grant, new ones may be learnt.

        Raises
        ------
        RequestRefused
            503: Redis does not answer, and a refusal or an erasure has to be sent again.
        """
        for record in consent if tenant in self._tenants else ():
            try:
                await self._note(tenant, record.key.decode(), record.change)
            except ReferencesUnavailable:
                if record.forgets:
                    raise _unavailable() from None

    async def learn(self, tenant: str, outcomes: Sequence[EventOutcome]) -> None:
        """Remember the names of events that are stored, if Redis answers."""
        for outcome in outcomes if tenant in self._tenants else ():
            if outcome.names and outcome.records:
                visitor = outcome.records[0].key.decode()
                try:
                    await self._references.learn(tenant, visitor, outcome.names)
                except ReferencesUnavailable:
                    log.warning("Redis does not answer: a webhook may not find its visitor later")
                    return

    async def _note(self, tenant: str, visitor: str, change: ConsentChange) -> None:
        match change:
            case ConsentChange.GRANTED:
                await self._references.grant(tenant, visitor)
            case ConsentChange.REFUSED:
                await self._references.refuse(tenant, visitor)
            case ConsentChange.ERASED:
                await self._references.erase(tenant, visitor)
            case ConsentChange.NONE:
                pass


def _unavailable() -> RequestRefused:
    return unavailable("Redis does not answer: send the request again, with the same ids")


def visitors_of(vendor: str, event: object, hints: Hints, found: Found) -> tuple[str, ...]:
    """Return the visitors that an event's names belong to, the best first."""
    names = _searched(vendor, event, hints)
    return tuple(dict.fromkeys(one for name in names for one in found.get(name, ())))


def _searched(vendor: str, event: object, hints: Hints) -> tuple[str, ...]:
    search = SEARCHED_NAMES.get(vendor)
    return search(event, hints) if search and isinstance(event, dict) else ()
