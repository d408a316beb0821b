"""The bill of materials: all that goes into the image, each as it is locked."""

import json
import re
import subprocess
import tomllib

import pytest

from tests.rig.processes import REPOSITORY

LOCK = REPOSITORY / "deploy" / "requirements.lock"
WRITTEN_TO = "dist/cartwake.cdx.json"


@pytest.fixture(scope="module")
def bill(tmp_path_factory):
    """Return what ``make sbom`` writes, written elsewhere; what is installed stays as it is."""
    verb = ["make", "--dry-run", "--old-file=.venv/.installed", "sbom"]
    recipe = subprocess.run(verb, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    file = tmp_path_factory.mktemp("sbom") / "bill.json"
    assert WRITTEN_TO in recipe.stdout
    script = recipe.stdout.replace(WRITTEN_TO, str(file)).replace("mkdir -p dist", "")
    subprocess.run(["sh", "-ec", script], cwd=REPOSITORY, check=True, capture_output=True)
    return json.loads(file.read_text())


def locked():
    """Return version and hashes of each package of the image's lock."""
    found = {}
    for line in LOCK.read_text().splitlines():
        if known := re.match(r"([\w.\-]+)(?:\[.*\])?==(\S+)", line):
            hashes = found[known[1]] = (known[2], set())
        elif known := re.search(r"--hash=sha256:(\w+)", line):
            hashes[1].add(known[1])
    return found


def test_every_package_of_the_lock_is_in_it_with_its_version_and_its_hashes(bill):
    told = {
        it["name"]: (
            it["version"],
            {
                one["content"]
                for place in it["externalReferences"]
                for one in place.get("hashes", ())
            },
        )
        for it in bill["components"]
    }
    assert told == locked()
    assert all(hashes for _, hashes in told.values())


def test_whatever_the_package_asks_for_is_locked():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    asked = {re.sub(r"\[.*\]", "", one).lower() for one in project["dependencies"]}
    assert asked <= {f"{name}=={version}" for name, (version, _) in locked().items()}


def test_it_says_what_it_is_the_bill_of(bill):
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "cartwake"
