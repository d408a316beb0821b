import shutil
import subprocess

import pytest


@pytest.fixture
def promtool():
    """Run promtool; loudly skipped where it is missing."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian has it in the package prometheus)")

    def run(*arguments, **options):
        command = [found, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    return run
