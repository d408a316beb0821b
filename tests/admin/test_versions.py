"""Whether what is installed is what was tested, by table and as it is here."""

import pytest

from stream.admin.finding import Severity
from stream.admin.versions import Installed, check_versions, installed

PINS = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "redis": "8.1.0",
    "river": "0.26.1",
    "rich": "15.0.0",
}


def lines(python="3.11.10", **there):
    versions = PINS | {name.replace("_", "-"): version for name, version in there.items()}
    return [str(one) for one in check_versions(Installed(python, ">=3.11", PINS, versions))]


def test_what_is_demanded_and_there_is_ok():
    first, second = lines()
    assert first == "ok    Python: 3.11.10 (>=3.11)"
    assert (
        "6 packages have the required version (faust-streaming 0.15.3, mode-streaming 0.7.1,"
        in second
    )


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"aiokafka": "0.13.0"}, "FAIL  aiokafka: 0.13.0, but cartwake was tested with 0.14.0"),
        ({"river": "0.27.0"}, "FAIL  river: 0.27.0, but cartwake was tested with 0.26.1"),
        ({"faust_streaming": None}, "FAIL  faust-streaming: missing, but"),
        ({"rich": "14.0.0"}, "warn  rich: 14.0.0, but cartwake was tested with 15.0.0"),
        ({"rich": None}, "FAIL  rich: missing"),
    ],
)
def test_another_version_is_told_and_what_to_do(there, said):
    [line] = [one for one in lines(**there) if not one.startswith("ok")]
    assert line.startswith(said)
    assert "requirements.lock" in line


@pytest.mark.parametrize("python", ["3.10.14", "3.9.0"])
def test_a_python_that_is_too_old_fails(python):
    assert lines(python)[0].startswith(f"FAIL  Python: {python} is older than 3.11")


def test_a_program_that_was_not_installed_is_worth_a_warning():
    [finding] = check_versions(None)
    assert finding.severity is Severity.WARN


def test_the_pins_are_those_of_what_is_installed_without_the_extras():
    found = installed()
    assert found is not None
    assert {"faust-streaming", "aiokafka", "redis", "river"} <= found.pins.keys()
    assert "pytest" not in found.pins
    assert "ua-parser" in found.pins, "a pin with an extra of its own"
    _, *packages = check_versions(found)  # whatever Python this is
    assert all(one.severity is Severity.OK for one in packages)


@pytest.mark.parametrize(
    ("python", "newer"), [("3.11.7", "3.11.10"), ("3.11.9", "3.11.10"), ("3.12.5", "3.12.6")]
)
def test_a_python_without_its_security_fixes_is_named(python, newer):
    first = lines(python)[0]
    assert first.startswith(f"warn  Python: {python} lacks security fixes")
    assert f"install Python {newer} or newer" in first


@pytest.mark.parametrize("python", ["3.11.10", "3.12.6", "3.13.0", "3.14.1"])
def test_a_patched_python_is_right(python):
    assert lines(python)[0].startswith(f"ok    Python: {python}")
