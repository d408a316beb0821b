import gzip
import json
import subprocess
from pathlib import Path
from shutil import which

import pytest

import stream
from stream.edge import script

FOLDER = Path(script.__file__).parent
MOST_BYTES = 7 * 1024


def test_it_is_small():
    packed = len(gzip.compress(script.source(), 9))
    assert packed <= MOST_BYTES, f"{packed} bytes"


def test_what_is_served_is_the_source_without_its_comments():
    text = script.source().decode()
    assert "Before consent" not in text
    assert 'SHOWN="cartwake.shown"' in text


@pytest.mark.skipif(which("node") is None, reason="no node on the PATH to read JavaScript with")
def test_it_is_javascript_with_and_without_comments(tmp_path):
    served = tmp_path / "served.js"
    served.write_bytes(script.source())
    for file in (FOLDER / script.FILE, served):
        subprocess.run(["node", "--check", str(file)], check=True)


def test_other_content_has_another_name():
    assert len(script.digest()) == script.DIGITS
    assert script.digest() == script.digest()


def test_its_package_names_what_is_there():
    package = json.loads((FOLDER / "package.json").read_text())
    assert package["version"] == stream.__version__
    for name in (package["main"], package["types"], *package["files"]):
        assert (FOLDER / name).is_file()
