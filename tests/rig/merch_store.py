"""A real shop's month of hits (``merch_store_2016-08.csv.gz``) as canonical events.

The one rule: nothing is invented that isn't listed here. The same file gives the same events, to
the byte, in the order in which a shard applies them: by ``at_ms``, then consent, cart, page.

Hits. ``page_view`` and ``ui_event`` are ``page_viewed``; ``product_view`` and ``product_click``
``product_viewed`` with one SKU, ``product_list_viewed`` with several, ``page_viewed`` with none.
``add_to_cart`` and ``remove_from_cart`` give one ``product_added`` or ``product_removed`` per SKU;
a quantity that isn't told is 1 when added (when removed: the whole line), and 10,000 is the most.
Checkout step 1 is ``checkout_started``, others are ``checkout_step_completed``. Every ``purchase``
is an ``order_completed``: the shop sent most of them twice, with one order number and other ids.
Its total is the row's revenue, else the one told for that order before, else the sum of its lines;
lines are told only where the shop tells every quantity. Prices are USD, rounded to cents.

Leaving. A session's last hit is followed, in the same millisecond, by ``exit_signalled``: by the
pointer on a desktop, else by hiding the tab. The shop doesn't say how long the last page stayed
open; ``dwell_ms`` is the time since the session first showed that page, or since the session's
start where that was with the last hit.

Context. The device; the country where ``COUNTRIES`` knows its code; on the ``page_viewed`` that
begins a session, ``referrer`` is ``https://<channel>.example/``, and nothing for direct visits.

Consent, by SHA-256 of the visitor (``group_of``), as the shop recorded none; a grant comes
immediately before the first hit, at the same ``at_ms``:

=================  =======  =======================================================================
group              share    rule
=================  =======  =======================================================================
``full``           69.6 %   grants personalization, marketing_email and analytics
``expiring``        0.4 %   likewise, until midway between their first and their last hit
``personal_only``  15.0 %   grants personalization alone
``silent``         10.0 %   says nothing at all
``withdrawing``     5.0 %   grants all three; 1 ms after their first ``product_added`` withdraws
                            personalization and marketing_email
=================  =======  =======================================================================
"""

import argparse
import collections
import csv
import gzip
import heapq
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from tests.rig.merch_hits import Event, Row, Shop, group_of
from tests.rig.processes import REPOSITORY

FILE = "merch_store_2016-08.csv.gz"
TOPICS = ("consent-events", "cart-events", "page-views")  # in the order of equal timestamps
TOPIC_OF = {
    "consent_updated": "consent-events",
    "product_added": "cart-events",
    "product_removed": "cart-events",
    "checkout_started": "cart-events",
    "checkout_step_completed": "cart-events",
    "order_completed": "cart-events",
    "page_viewed": "page-views",
    "product_viewed": "page-views",
    "product_list_viewed": "page-views",
    "exit_signalled": "page-views",
}


def shop_file() -> Path:
    """Return where the data lies: ``CARTWAKE_DATA``, else ``../shared/data`` of the repository."""
    folder = os.environ.get("CARTWAKE_DATA") or REPOSITORY.parent / "shared" / "data"
    return Path(folder) / FILE


def events(path: Path | None = None, limit: int | None = None) -> Iterator[Event]:
    """Yield the canonical events of the first ``limit`` hits, sorted by ``at_ms``."""
    path = path or shop_file()
    shop = Shop(_last_hits(path, limit))
    pending: list[tuple[int, int, int, Event]] = []
    numbers = itertools.count()
    for row in _rows(path, limit):
        now_ms = int(row["ts_ms"])
        while pending and pending[0][0] < now_ms:
            yield heapq.heappop(pending)[3]
        for event in shop.events_of(row, now_ms):
            rank = TOPICS.index(TOPIC_OF[event["type"]])
            heapq.heappush(pending, (event["at_ms"], rank, next(numbers), event))
    while pending:
        yield heapq.heappop(pending)[3]


def encode(event: Event) -> bytes:
    """Return an event as a record's value."""
    return orjson.dumps(event)


def by_topic(some: Iterable[Event]) -> dict[str, list[tuple[bytes, bytes, int]]]:
    """Return per input topic its records in order: key, value, timestamp (``at_ms``)."""
    records: dict[str, list[tuple[bytes, bytes, int]]] = {topic: [] for topic in TOPICS}
    for event in some:
        record = (event["visitor"].encode(), encode(event), event["at_ms"])
        records[TOPIC_OF[event["type"]]].append(record)
    return records


def _rows(path: Path, limit: int | None) -> Iterator[Row]:
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        # Not a DictReader, which takes twice as long.
        reader = csv.reader(file)
        names = next(reader)
        for values in itertools.islice(reader, limit):
            yield dict(zip(names, values, strict=True))


def _last_hits(path: Path, limit: int | None) -> dict[str, int]:
    """Return the time of the last hit of each visitor whose consent expires."""
    last = {row["fullVisitorId"]: int(row["ts_ms"]) for row in _rows(path, limit)}
    return {visitor: at_ms for visitor, at_ms in last.items() if group_of(visitor) == "expiring"}


def main() -> None:
    """Write the events as JSON lines and say how many of each type there are."""
    parser = argparse.ArgumentParser(prog="python -m tests.rig.merch_store")
    parser.add_argument("out", type=Path, help="the .jsonl to write")
    parser.add_argument("--limit", type=int, help="only the first so many hits")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    with arguments.out.open("wb") as out:
        for event in events(limit=arguments.limit):
            counts[event["type"]] += 1
            out.write(encode(event) + b"\n")
    sys.stdout.write(f"{counts.total()} events\n")
    for kind, count in counts.most_common():
        sys.stdout.write(f"{count:9} {kind}\n")


if __name__ == "__main__":
    main()
