"""Golden files: what vendors document, with values made up, and what it is in our words."""

import json
from pathlib import Path

import pytest

from stream.adapters.wire.codec import LANE_TYPES, decode_fields
from stream.mappers import Hints, to_events

AT_MS = 1_795_773_600_000
CASES = [
    (case.get("vendor", path.stem), case)
    for path in sorted((Path(__file__).parent / "golden").glob("*.json"))
    for case in json.loads(path.read_text())
]


@pytest.mark.parametrize(("vendor", "case"), CASES, ids=[case["says"] for _, case in CASES])
def test_a_vendors_event_in_our_words(vendor, case):
    hints = Hints(
        AT_MS,
        case.get("visitor"),
        case.get("id"),
        case.get("headers", {}),
        visitors=tuple(case.get("visitors", ())),
        verified={"v1.signed": "v1"}.get,
    )
    mapped = to_events(vendor, case["in"], hints)
    assert list(mapped.events) == case["out"]
    assert list(mapped.unmapped) == case.get("unmapped", [])
    assert sorted(mapped.lost) == case.get("lost", [])
    assert list(mapped.unheard) == case.get("unheard", [])
    assert mapped.refused == case.get("refused")
    for event in mapped.events:
        decode_fields(event, LANE_TYPES)
