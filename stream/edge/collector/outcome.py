"""The outcome of each event of a request, and the answer to the request.

events = accepted + ignored + refused. Each event is judged by itself, whatever its neighbours are.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.responses import Response

from stream.edge.answers import RequestRefused, json_response
from stream.edge.collector.prepare import PreparedRecord


class EventOutcome(NamedTuple):
    """The outcome of one event; a vendor's event may become several records, or none.

    ``unmapped`` names the vendor's events in it that have no counterpart here, ``names`` are the
    vendor's for its visitor's cart, order and so on.
    """

    records: tuple[PreparedRecord, ...] = ()
    refusal: RequestRefused | None = None
    unmapped: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def answer(outcomes: Sequence[EventOutcome]) -> Response:
    """Return the answer; if every event was refused, with the status of the first refusal."""
    refused = [_refused(index, one.refusal) for index, one in enumerate(outcomes) if one.refusal]
    content: dict[str, Any] = {
        "accepted": sum(bool(one.records) for one in outcomes),
        "refused": refused,
        "ignored": sum(not one.records and one.refusal is None for one in outcomes),
    }
    unmapped = [
        {"index": index, "names": one.unmapped}
        for index, one in enumerate(outcomes)
        if one.unmapped
    ]
    if unmapped:
        content["unmapped"] = unmapped
    first = next((one.refusal for one in outcomes if one.refusal), None)
    all_refused = first is not None and len(refused) == len(outcomes)
    status = first.status if first is not None and all_refused else HTTPStatus.OK
    return json_response(content, status)


def _refused(index: int, refusal: RequestRefused) -> dict[str, Any]:
    return {"index": index, "reason": refusal.reason, "detail": refusal.detail}
