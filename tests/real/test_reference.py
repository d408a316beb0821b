"""A real shop's days, by the reference: a file's replay gives what the contract says of it.

``python -m tests.real.test_reference`` compares the whole month and prints the figures.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from stream import replay
from stream.adapters.wire.bots import is_bot
from stream.config.settings import HoldoutSettings, Settings
from tests import reference
from tests.reference_view import expected, told
from tests.rig import merch_store
from tests.rig.kafka import Message

HITS = 25_000
SETTINGS = Settings(holdout=HoldoutSettings(fraction=0.0))


def compared(folder: Path, hits: int | None = None) -> reference.Result:
    """Replay so many hits, and return what the reference says of them after it said the same."""
    events = list(merch_store.events(limit=hits))
    source, out = folder / "events.jsonl", folder / "out"
    source.write_bytes(b"".join(merch_store.encode(event) + b"\n" for event in events))
    replay.run(str(source), out, SETTINGS, 0)
    result = reference.run(_records(events), is_robot=is_bot)
    summary = json.loads((out / "summary.json").read_bytes())
    assert {name: summary[name] for name in result.outcomes} == result.outcomes
    assert summary["events"] == result.outcomes.total()
    assert _told(out / "triggers.jsonl") == Counter(map(expected, result.triggers))
    assert _told(out / "decisions.jsonl") == Counter(map(expected, result.decisions))
    assert len(_lines(out / "trigger-cancels.jsonl")) == len(result.cancels)
    return result


def _records(events: list[dict[str, Any]]) -> list[Message]:
    by_topic = merch_store.by_topic(events)
    return [
        Message(topic, 0, offset, at_ms, key, value, {})
        for topic, records in by_topic.items()
        for offset, (key, value, at_ms) in enumerate(records)
    ]


def _told(path: Path) -> Counter[str]:
    return Counter(told(body) for body in _lines(path))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_replay_of_real_days_gives_what_the_contract_says(
    shop_data: Path, tmp_path: Path
) -> None:
    result = compared(tmp_path, HITS)
    assert len(result.triggers) > 300
    assert {"applied", "duplicates", "refused_consent"} <= result.outcomes.keys()


def main() -> None:
    """Compare the whole month."""
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        result = compared(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else None)
        print("the same:", dict(result.outcomes), f"in {time.monotonic() - began:.0f} s")
        print("fired", Counter((one["kind"], one["step"]) for one in result.triggers))
        print("decided", Counter((one["kind"], one["reason"]) for one in result.decisions))
        print("cancelled", len(result.cancels))


if __name__ == "__main__":
    main()
