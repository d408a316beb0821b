"""Answers of the edge: JSON, and refusals.

A refusal names a rule and a place, and repeats nothing that was sent.
"""

from collections.abc import Iterable
from http import HTTPStatus

import orjson
from starlette.responses import Response

NO_STORE = {"Cache-Control": "no-store"}
RETRY_AFTER_S = 5


class RequestRefused(Exception):  # noqa: N818 - a property of the request, no error of ours
    """A request, or one event in it, is refused."""

    def __init__(
        self, status: HTTPStatus, reason: str, detail: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(reason)
        self.status, self.reason, self.detail = status, reason, detail
        self.retry_after_s = retry_after_s


def malformed(detail: str) -> RequestRefused:
    """Return the refusal of a request that cannot be parsed."""
    return RequestRefused(HTTPStatus.BAD_REQUEST, "malformed", detail)


def too_large(what: str, most: int) -> RequestRefused:
    """Return the refusal of a body or event with more than ``most`` bytes."""
    return RequestRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"{what}: more than {most} bytes"
    )


def unknown_vendor(known: Iterable[str]) -> RequestRefused:
    """Return the refusal of a webhook that no vendor here sends."""
    detail = f"path: no such vendor; use one of {', '.join(sorted(known))}"
    return RequestRefused(HTTPStatus.NOT_FOUND, "unknown_vendor", detail)


def not_carried_out(detail: str) -> RequestRefused:
    """Return the refusal of a request that a person has to carry out."""
    return RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "not_carried_out", detail)


def refused_consent(detail: str) -> RequestRefused:
    """Return the refusal of an event that says no itself; 200, because the sender did it right."""
    return RequestRefused(HTTPStatus.OK, "refused_consent", detail)


def unavailable(detail: str) -> RequestRefused:
    """Return the refusal of a request that the sender should repeat later."""
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, RETRY_AFTER_S)


def json_response(
    content: object, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON answer that must not be cached."""
    return Response(
        orjson.dumps(content),
        status,
        headers=NO_STORE | (headers or {}),
        media_type="application/json",
    )


def refused_response(refusal: RequestRefused) -> Response:
    """Return a refusal as the answer to a request."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="cartwake", charset="UTF-8"'
    content = {"error": refusal.reason, "detail": refusal.detail}
    return json_response(content, refusal.status, headers)
