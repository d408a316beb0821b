from pathlib import Path

import pytest

from tests import reference
from tests.adapters.wire.examples import raw
from tests.adapters.wire.test_poison import POISON
from tests.reference.decoding import DeadLetter, decode


def test_the_reference_shares_no_code_with_what_it_is_held_against():
    files = list(Path(reference.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        assert "from stream" not in file.read_text()
        assert "import stream" not in file.read_text()


@pytest.mark.parametrize(("value", "reason"), [(value, why) for _, value, why in POISON])
def test_the_reference_refuses_the_same_records_for_the_same_reason(value, reason):
    with pytest.raises(DeadLetter, match=f"^{reason}$"):
        decode(value, b"v1", "page-views")


def test_a_number_without_end_does_harm_only_where_it_is_read():
    assert decode(raw(extra="1e999"), b"v1", "page-views")["visitor"] == "v1"
    with pytest.raises(DeadLetter, match="malformed"):
        decode(raw(at_ms="1e999"), b"v1", "page-views")
