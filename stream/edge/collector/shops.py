"""What vendors' events may lack, by tenant: the shop's currency and its categories of consent."""

from collections.abc import Mapping

from stream.config.settings import EdgeSettings
from stream.mappers import Hints
from stream.mappers.categories import key_of


class Shops:
    """The settings of all tenants that mappers need."""

    def __init__(self, edge: EdgeSettings) -> None:
        self._currency = edge.currency
        self._currencies = {key.tenant: key.currency for key in edge.keys if key.currency}
        self._categories: dict[str, dict[str, tuple[str, ...]]] = {}
        for one in edge.consent_categories:
            own = self._categories.setdefault(one.tenant, {})
            own[key_of(one.category)] = tuple(one.purposes)

    def hints(self, tenant: str, at_ms: int, headers: Mapping[str, str] | None = None) -> Hints:
        """Return what an event of this tenant's may lack, if it was received at ``at_ms``."""
        return Hints(
            at_ms,
            headers=headers or {},
            currency=self._currencies.get(tenant, self._currency) or None,
            categories=self._categories.get(tenant, {}),
        )
