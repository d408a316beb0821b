"""Kafka's programs: the jars that Maven gets once, and how Java runs them.

The one rule: everything lies in a cache folder inside the repository, which git ignores.
"""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rig.processes import REPOSITORY, Unavailable

VERSION = "4.1.0"
CACHE = REPOSITORY / ".cache"
# A third off the start, for a lower peak rate than any test asks for.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>rig</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def kafka_jars() -> Path:
    """Return the folder with Kafka's jars, filled by Maven the first time.

    Raises
    ------
    Unavailable
        The jars are not there yet and Maven is missing, or could not get them.
    """
    jars = CACHE / f"kafka-{VERSION}"
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with (CACHE / f"kafka-{VERSION}.lock").open("w") as lock:
        # One test run downloads, the others wait; a folder under its final name is complete.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _download(jars)
    return jars


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable(f"no Maven (mvn) on PATH to get Kafka {VERSION} with")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        pom, target = Path(folder, "pom.xml"), Path(folder, "jars")
        pom.write_text(POM)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        done = subprocess.run(
            [maven, "-B", "-q", "-f", str(pom), *goal],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"Maven could not get Kafka {VERSION}:\n{done.stdout[-2000:]}")
        target.rename(jars)


def java_command(
    main_class: str, *arguments: str, heap: str, options: Sequence[str] = QUICK_START
) -> list[str]:
    """Return the command line that runs one of Kafka's classes with a heap of ``heap`` at most."""
    java = shutil.which("java")
    if java is None:
        raise Unavailable(f"no Java on PATH; Kafka {VERSION} needs Java 17 or newer")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    class_path = f"{kafka_jars()}/*"
    return [java, f"-Xmx{heap}", *options, quiet, "-cp", class_path, main_class, *arguments]
