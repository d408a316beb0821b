"""References in this process alone, for tests."""

from collections.abc import Iterable, Sequence

from stream.edge.references import CUSTOMER, MOST_NAMES, MOST_VISITORS, REDACTED, Found
from stream.mappers.mapped import ERASED

Key = tuple[str, str]


class MemoryReferences:
    """Implements ``References``; nothing expires. The newest stands last."""

    def __init__(self) -> None:
        self._visitors: dict[Key, list[str]] = {}
        self._names: dict[Key, list[str]] = {}
        self._refused: set[Key] = set()

    async def find(self, tenant: str, names: Iterable[str]) -> Found:
        """Implements ``References.find``."""
        known = ((name, self._visitors.get((tenant, name), [])) for name in names)
        return {name: tuple(reversed(visitors)) for name, visitors in known if visitors}

    async def learn(self, tenant: str, visitor: str, names: Sequence[str]) -> None:
        """Implements ``References.learn``."""
        refused = (tenant, visitor) in self._refused
        own = self._names.setdefault((tenant, visitor), [])
        for name in names:
            if refused and not name.startswith(CUSTOMER):
                continue
            visitors = self._visitors.setdefault((tenant, name), [])
            visitors[:] = [one for one in visitors if one not in {visitor, ERASED}]
            visitors[:] = [*visitors, visitor][-MOST_VISITORS:]
            own[:] = [*(one for one in own if one != name), name]
        for name in own[:-MOST_NAMES]:
            self._forget(tenant, visitor, name)

    async def grant(self, tenant: str, visitor: str) -> None:
        """Implements ``References.grant``."""
        self._refused.discard((tenant, visitor))

    async def refuse(self, tenant: str, visitor: str) -> None:
        """Implements ``References.refuse``."""
        self._refused.add((tenant, visitor))
        for name in tuple(self._names.get((tenant, visitor), [])):
            if not name.startswith(CUSTOMER):
                self._forget(tenant, visitor, name)

    async def erase(self, tenant: str, visitor: str) -> None:
        """Implements ``References.erase``."""
        self._refused.discard((tenant, visitor))
        for name in tuple(self._names.get((tenant, visitor), [])):
            self._forget(tenant, visitor, name)
            visitors = self._visitors[tenant, name]
            if name.startswith(REDACTED) and ERASED not in visitors:
                visitors.append(ERASED)
        self._names.pop((tenant, visitor), None)

    def _forget(self, tenant: str, visitor: str, name: str) -> None:
        self._names[tenant, visitor].remove(name)
        visitors = self._visitors[tenant, name]
        if visitor in visitors:
            visitors.remove(visitor)
