"""The collector's routes: canonical events, Segment's calls, vendors' webhooks.

A request is answered once Kafka has acknowledged its records. The answer has an outcome per event.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from stream.config.edge import EdgeKey
from stream.domain.topics import CONSENT_EVENTS
from stream.edge.answers import (
    RequestRefused,
    malformed,
    not_carried_out,
    refused_consent,
    unavailable,
    unknown_vendor,
)
from stream.edge.authentication import Admitted, Authenticator
from stream.edge.collector.append import EventLog, LogUnavailable
from stream.edge.collector.bodies import (
    bounded,
    bounded_event,
    enveloped,
    in_context,
    listed,
    size_of,
)
from stream.edge.collector.names import VisitorNames, visitors_of
from stream.edge.collector.outcome import EventOutcome, answer
from stream.edge.collector.prepare import PreparedRecord, Sender, by_page, prepare
from stream.edge.collector.shops import Shops
from stream.edge.cookies import VisitorCookie
from stream.edge.limits import KIB, cost_of, too_many
from stream.edge.metrics import EdgeMetrics
from stream.edge.requests import object_of
from stream.edge.visitors import Visitors
from stream.mappers import VENDORS, Hints, NotCarriedOut, Unreadable, cloudevents, to_events
from stream.mappers.reading import at_ms, text
from stream.mappers.snowplow import tracker
from stream.runtime.failpoint import raising

# GA4 sends at most so many products in an event, and each becomes a record.
MAX_RECORDS_PER_EVENT: Final = 200
# Requests over a limit with more events are not read: a page sends no more at once.
MAX_EVENTS_OVER: Final = 20
# Others are answered after so many events.
TOGETHER: Final = 50
CALLS: Final = ("track", "page", "identify", "group", "alias", "screen")
# The same by the last part of analytics.js's paths.
SHORT_CALLS: Final = {call[0]: call for call in CALLS}
# The paths of batches: Segment's, analytics.js's, RudderStack's for beacons.
BATCHES: Final = ("/v1/batch", "/v1/b", "/beacon/v1/batch")
TRACKER: Final = "/com.snowplowanalytics.snowplow/tp2"
# A vendor's event that the script saw on the page, with visitor, time and id.
VENDOR_EVENT: Final = "vendor_event"
UNIT: Final = "event"


class Collector:
    """Takes events and appends them to the log."""

    def __init__(  # noqa: PLR0913 - everything that a request needs
        self,
        authenticator: Authenticator,
        visitors: Visitors,
        log: EventLog,
        metrics: EdgeMetrics,
        now_ms: Callable[[], int],
        *,
        names: VisitorNames,
        shops: Shops,
        cookie: VisitorCookie,
    ) -> None:
        self._names, self._shops, self._cookie = names, shops, cookie
        self._authenticator, self._visitors = authenticator, visitors
        self._log, self._metrics, self._now_ms = log, metrics, now_ms
        self._bulkhead = metrics.bulkhead(UNIT)

    async def take_events(self, request: Request) -> Response:
        """``POST /v1/events``: canonical events, as an array or as JSON Lines."""
        began = time.perf_counter()
        admitted = await self._authenticator.open(request)
        sender = self._sender(request, admitted.key, _whole(request.query_params.get("sentAt")))
        if cloudevents.is_structured(request.headers) or cloudevents.is_binary(request.headers):
            mapped = partial(
                self._mapped, vendor="cloudevents", hints=self._hints(sender), sender=sender
            )
            return await self._take(admitted, enveloped(request, admitted.body), mapped, began)
        events = listed(admitted.body, self._authenticator.limits.most_of(admitted.payer))
        return await self._take(admitted, events, partial(self._canonical, sender=sender), began)

    async def take_call(self, request: Request) -> Response:
        """``POST /v1/track``, ``/v1/t`` and so on: one call, as Segment's libraries send it."""
        began = time.perf_counter()
        admitted = await self._authenticator.open(request)
        name = request.url.path.rpartition("/")[2]
        call = object_of(admitted.body) | {"type": SHORT_CALLS.get(name, name)}
        sender = self._sender(request, admitted.key, at_ms(call.get("sentAt")))
        return await self._take(admitted, [call], self._segments(sender), began)

    async def take_batch(self, request: Request) -> Response:
        """``POST /v1/batch``, ``/v1/b``, ``/beacon/v1/batch``: Segment's calls in a batch."""
        began = time.perf_counter()
        admitted = await self._authenticator.open(request)
        batch = object_of(admitted.body)
        calls = batch.get("batch")
        if not isinstance(calls, list):
            raise malformed("$.batch: expected an array")
        sender = self._sender(request, admitted.key, at_ms(batch.get("sentAt")))
        shared = bounded_event(batch.get("context"))
        if isinstance(shared, RequestRefused):
            raise shared
        mapped = self._segments(sender)
        return await self._take(
            admitted,
            calls,
            lambda call: mapped(in_context(call, shared)),
            began,
            each=1 + size_of(shared) // KIB,
        )

    async def take_tracker(self, request: Request) -> Response:
        """``POST`` of ``TRACKER``, ``GET /i``: events of Snowplow's trackers."""
        began = time.perf_counter()
        admitted = await self._authenticator.open_tracker(request)
        if request.method == "GET":
            events: object = [dict(request.query_params)]
        else:
            events = object_of(admitted.body).get("data")
        if not isinstance(events, list):
            raise malformed("$.data: expected an array")
        sent_at_ms = tracker.sent_at(next(iter(events), None))
        sender = self._sender(request, admitted.key, sent_at_ms)._replace(vendor="snowplow")
        mapped = partial(self._mapped, vendor="snowplow", hints=self._hints(sender), sender=sender)
        return await self._take(
            admitted, events, lambda payload: mapped(tracker.enriched(payload)), began
        )

    async def ignore_measurements(self, request: Request) -> Response:
        """``POST /v1/m``: what analytics.js measures of itself, which nobody here reads."""
        self._authenticator.count_address(request)
        return answer([])

    async def take_hook(self, request: Request) -> Response:
        """``POST /v1/hooks/{vendor}``: a vendor's webhook, signed by the vendor."""
        began = time.perf_counter()
        vendor = request.path_params["vendor"]
        if vendor not in VENDORS:
            self._authenticator.count_address(request)
            raise unknown_vendor(VENDORS)
        admitted = await self._authenticator.open_hook(request, vendor)
        if admitted is None:
            return answer([EventOutcome(unmapped=("ping",))])
        sender = self._sender(request, admitted.key, None)
        # Webhooks name visitors of ours. A pixel has its own, and its headers are a stranger's:
        # they cannot make a webhook of its event.
        is_pixel = admitted.key.kind == "browser"
        if is_pixel:
            sender = sender._replace(vendor=vendor)
        hints = self._hints(sender, None if is_pixel else request.headers)
        events = enveloped(request, admitted.body)
        found = await self._names.find(admitted.key.tenant, vendor, events, hints)

        def mapped(event: object) -> EventOutcome:
            visitors = visitors_of(vendor, event, hints, found)
            return self._mapped(event, vendor, hints._replace(visitors=visitors), sender)

        response = await self._take(admitted, events, mapped, began)
        if is_pixel:  # a sandbox may read how it went; there is no cookie
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    async def take_handshake(self, request: Request) -> Response:
        """``OPTIONS`` of the routes of CloudEvents: whoever asks may send, with a key or secret.

        https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
        """
        self._authenticator.count_address(request)
        headers = {"Allow": "POST"}
        origin = request.headers.get("webhook-request-origin")
        if origin:
            rate = self._authenticator.limits.requests_per_minute
            headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(rate)}
        return Response(headers=headers)

    def _segments(self, sender: Sender) -> Callable[[object], EventOutcome]:
        own = sender._replace(vendor="segment")
        return partial(self._mapped, vendor="segment", hints=self._hints(sender), sender=own)

    def _sender(self, request: Request, key: EdgeKey, sent_at_ms: int | None) -> Sender:
        is_browser = key.kind == "browser"
        return Sender(
            key,
            self._now_ms(),
            request.headers.get("user-agent") if is_browser else None,
            is_browser and request.headers.get("sec-gpc") == "1",
            sent_at_ms,
        )

    async def _take(
        self,
        admitted: Admitted,
        events: Sequence[object],
        become: Callable[[object], EventOutcome],
        began: float,
        each: int = 1,
    ) -> Response:
        """Return the answer to a request whose events count so often each, before they are read."""
        limits, payer = self._authenticator.limits, admitted.payer
        most, paid = limits.most_of(payer), len(events) * each
        if paid > most:
            raise too_many(most)
        over = admitted.over or limits.count_events(payer, paid)
        if over is not None and len(events) > MAX_EVENTS_OVER:
            raise over
        outcomes = await self._each(bounded(events, len(admitted.body)), become, most)
        records = [record for outcome in outcomes for record in outcome.records]
        consent = [record for record in records if record.topic == CONSENT_EVENTS]
        if over is None:
            others = [record for record in records if record.topic != CONSENT_EVENTS]
            over = limits.count_records(payer, others, paid)
        full = limits.count_consent(payer, consent)
        if full is not None:
            raise full
        await self._append(records if over is None else consent)
        await self._names.note_choices(admitted.key.tenant, consent)
        # The sender sends all of it again: what is stored already has the same ids.
        if over is not None:
            raise over
        await self._names.learn(admitted.key.tenant, outcomes)
        self._metrics.answer_seconds.observe(time.perf_counter() - began)
        response = answer(outcomes)
        if any(record.forgets for record in records):
            self._cookie.remove(response, admitted.request)  # a page of another host cannot
        return response

    async def _each(
        self, events: Sequence[object], become: Callable[[object], EventOutcome], most: int
    ) -> list[EventOutcome]:
        """Return what each event has become; a defect refuses its event and no other."""
        outcomes: list[EventOutcome] = []
        cost = 0
        for number, event in enumerate(events, 1):
            outcomes.append(self._guarded(event, become))
            cost += sum(map(cost_of, outcomes[-1].records))
            if cost > most:
                raise too_many(most)
            if number % TOGETHER == 0:
                await asyncio.sleep(0)
        return outcomes

    def _guarded(self, event: object, become: Callable[[object], EventOutcome]) -> EventOutcome:
        with self._bulkhead.guard(UNIT) as guarded:
            raising(UNIT, str(event.get("id")) if isinstance(event, dict) else "")
            outcome = become(event)
        if guarded.defect is None:
            return outcome
        return self._refused(malformed("$: it cannot be processed"))

    def _canonical(self, fields: object, sender: Sender) -> EventOutcome:
        """Return the outcome of one event: canonical, or a vendor's that the script saw."""
        if isinstance(fields, RequestRefused):
            return self._refused(fields)
        if isinstance(fields, dict) and fields.get("type") == VENDOR_EVENT:
            return self._seen_on_page(fields, sender)
        try:
            return EventOutcome((prepare(fields, sender, self._visitors),))
        except RequestRefused as refusal:
            return self._refused(refusal)

    def _seen_on_page(self, fields: dict[str, Any], sender: Sender) -> EventOutcome:
        vendor = fields.get("vendor")
        if not isinstance(vendor, str) or vendor not in VENDORS:
            return self._refused(malformed("$.vendor: unknown"))
        moment = at_ms(fields.get("at_ms"), sender.received_ms) or sender.received_ms
        hints = self._hints(sender)._replace(
            at_ms=moment, visitor=text(fields.get("visitor")), id=text(fields.get("id"))
        )
        return self._mapped(fields.get("call"), vendor, hints, sender)

    def _mapped(self, call: object, vendor: str, hints: Hints, sender: Sender) -> EventOutcome:
        """Return the outcome of a vendor's event; all records made of it are taken, or none."""
        if isinstance(call, RequestRefused):
            return self._refused(call)
        try:
            mapped = to_events(vendor, call, hints)
            if len(mapped.events) > MAX_RECORDS_PER_EVENT:
                raise too_many(MAX_RECORDS_PER_EVENT)
            records = [
                prepare(by_page(event, sender), sender, self._visitors) for event in mapped.events
            ]
        except Unreadable as unreadable:
            return self._refused(malformed(str(unreadable)))
        except NotCarriedOut as asked:
            return self._refused(not_carried_out(str(asked)))
        except RequestRefused as refusal:
            return self._refused(refusal)
        self._metrics.count_mapped(vendor, mapped)
        if mapped.refused is not None:
            return self._refused(refused_consent(mapped.refused))
        return EventOutcome(tuple(records), None, mapped.unmapped, mapped.names)

    def _hints(self, sender: Sender, headers: Mapping[str, str] | None = None) -> Hints:
        tenant = sender.key.tenant
        verified = partial(self._visitors.bare, tenant=tenant)
        return self._shops.hints(tenant, sender.received_ms, headers)._replace(verified=verified)

    def _refused(self, refusal: RequestRefused) -> EventOutcome:
        self._metrics.refused.labels(refusal.reason).inc()
        return EventOutcome(refusal=refusal)

    async def _append(self, records: Sequence[PreparedRecord]) -> None:
        """Append records to the log, and return once they are stored."""
        counts = Counter(record.topic for record in records)
        outcome = "accepted"
        try:
            if records:
                await self._log.append(records)
        except LogUnavailable:
            outcome = "unavailable"
            raise unavailable(
                "Kafka does not acknowledge: send the request again, with the same ids"
            ) from None
        finally:
            for topic, count in counts.items():
                self._metrics.events.labels(topic, outcome).inc(count)
        self._metrics.bots.inc(sum(record.is_bot for record in records))
        self._metrics.skew_corrected.inc(sum(record.was_skewed for record in records))
        for field in (field for record in records for field in record.lost):
            self._metrics.lost_fields.labels("canonical", field).inc()


def _whole(text: str | None) -> int | None:
    """Return the whole number in a text, or None."""
    return int(text) if text and re.fullmatch("[0-9]{1,15}", text) else None
