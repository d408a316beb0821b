"""Vendors' own examples, run whole: every row is mapped, or counted by name.

They are not in the repository. Snowplow's tables are joined here into what its SDKs give.
"""

import csv
import io
import json
import tarfile
from collections import Counter, defaultdict

import pytest

from stream.adapters.wire.codec import LANE_TYPES, decode_fields
from stream.mappers import Hints, to_events
from tests.rig.merch_store import shop_file

AT_MS = 1_795_773_600_000
ECOMMERCE = "com_snowplowanalytics_snowplow_ecommerce"
TABLES = ("product", "cart", "checkout_step", "transaction", "user", "page")

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder():
    folder = shop_file().parent / "vendor"
    if not folder.is_dir():
        pytest.skip("no vendors' examples: vendor/ is neither in ../shared/data nor CARTWAKE_DATA")
    return folder


def run(vendor, rows, headers=None):
    """Map all rows, check what comes out, print and return the counts."""
    mapped, unmapped = Counter(), Counter()
    told = 0
    for number, row in enumerate(rows):
        one = to_events(vendor, row, Hints(AT_MS, "v1", f"row-{number}", headers or {}))
        assert one.events or one.unmapped
        told += 1
        for event in one.events:
            decode_fields(event, LANE_TYPES)
            mapped[event["type"]] += 1
        unmapped.update(one.unmapped)
    print(f"\n{vendor}: {told} rows; mapped {dict(mapped)}; counted by name {dict(unmapped)}")
    return mapped, unmapped


def test_segments_examples(folder):
    lines = (folder / "segment" / "segment_events.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    mapped, unmapped = run("segment", rows)
    assert len(rows) == 28
    assert mapped["order_completed"] == mapped["consent_updated"] == 1
    assert mapped["cart_updated"] == 2  # one beside a checkout
    assert unmapped["Product Reviewed"] == 1


def tables(folder):
    with tarfile.open(folder / "snowplow" / "ecommerce_source.tar.xz") as archive:
        for member in archive.getmembers():
            text = archive.extractfile(member).read().decode()
            yield member.name.removesuffix(".csv"), list(csv.DictReader(io.StringIO(text)))


def joined(folder):
    """Yield each event with its action and its entities, as an analytics SDK gives it."""
    named = dict(tables(folder))
    entities = defaultdict(dict)
    for name in TABLES:
        for row in named[f"{ECOMMERCE}_{name}_1"]:
            kept = {field: value for field, value in row.items() if value != ""}
            where = entities[row["root_id"]].setdefault(f"contexts_{ECOMMERCE}_{name}_1", [])
            where.append(kept)
    actions = {row["root_id"]: row for row in named[f"{ECOMMERCE}_action_1"]}
    for event in named["snowplow_ecommerce_events"]:
        action = actions.get(event["event_id"])
        if action is not None:
            own = {f"unstruct_event_{ECOMMERCE}_snowplow_ecommerce_action_1": action}
            yield {name: v for name, v in event.items() if v} | own | entities[event["event_id"]]


def test_snowplows_shop(folder):
    rows = list(joined(folder))
    mapped, unmapped = run("snowplow", rows)
    assert len(rows) > 800
    assert mapped["order_completed"] > 0
    assert mapped["product_added"] >= 38
    assert unmapped["action without a type"] > 0


def test_snowplows_consents(folder):
    path = folder / "snowplow" / "snowplow_web_consent_preferences.csv"
    rows = []
    for row in csv.DictReader(io.StringIO(path.read_text())):
        told = {
            "eventType": row["event_type"],
            "basisForProcessing": row["basis_for_processing"],
            "consentVersion": row["consent_version"],
            "consentScopes": json.loads(row["consent_scopes"]),
        }
        name = "unstruct_event_com_snowplowanalytics_snowplow_consent_preferences_1"
        rows.append({"event": "unstruct", "event_id": row["root_id"], name: told})
    mapped, unmapped = run("snowplow", rows)
    assert mapped == {"consent_updated": len(rows)}
    assert unmapped == {}


@pytest.mark.parametrize(
    ("file", "topic", "kinds"),
    [
        ("orders", "orders/create", {"order_completed"}),
        ("order", "orders/create", {"order_completed"}),
        ("carts", "carts/update", {"cart_updated"}),
        ("checkouts", "checkouts/create", {"checkout_started", "cart_updated"}),
        ("draft_orders", "draft_orders/create", set()),
        ("customer", "customers/create", set()),
    ],
)
def test_shopifys_examples(folder, file, topic, kinds):
    (content,) = json.loads((folder / "shopify" / f"{file}.json").read_text()).values()
    rows = content if isinstance(content, list) else [content]
    anonymous = to_events("shopify", rows[0], Hints(AT_MS, headers={"x-shopify-topic": topic}))
    assert anonymous.events == ()
    mapped, unmapped = run("shopify", rows, {"x-shopify-topic": topic})
    assert mapped == {kind: len(rows) for kind in kinds}
    assert unmapped == ({} if kinds else {topic: len(rows)})
