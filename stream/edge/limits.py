"""Rate limits: by key and, for public keys, by address.

An address is compared here and stored nowhere else. Each edge counts for itself, so several edges
behind a balancer together allow a multiple of the limit.
"""

from http import HTTPStatus

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from stream.config.settings import EdgeSettings
from stream.edge.answers import RequestRefused


class RateLimits:
    """Counts requests in windows of one second."""

    def __init__(self, edge: EdgeSettings) -> None:
        self._windows = FixedWindowRateLimiter(MemoryStorage())
        self._by_key = RateLimitItemPerSecond(edge.requests_per_s_per_key)
        self._by_address = RateLimitItemPerSecond(edge.requests_per_s_per_address)

    def count_key(self, key: str) -> None:
        """Count a request with this key, or refuse it."""
        self._count(self._by_key, "key", key)

    def count_address(self, address: str) -> None:
        """Count a request from this address, or refuse it."""
        self._count(self._by_address, "address", address)

    def _count(self, limit: RateLimitItemPerSecond, by: str, name: str) -> None:
        if not self._windows.hit(limit, by, name):
            detail = f"more than {limit.amount} requests in a second by one {by}"
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail, 1)
