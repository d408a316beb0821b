"""Programs as child processes: the servers of the rig, and ``cartwake`` itself.

The one rule: no waiting without a bound, and whoever waits in vain says for what and shows the
end of the program's output.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
SIGNING_KEYS = ["a signing key of the tests"]
POLL_S = 0.02
TAIL_CHARS = 4_000


class Unavailable(Exception):  # noqa: N818 - says that a program is missing, not that one failed
    """Something this machine would need is not installed; the message says what and how."""


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Return as soon as ``condition()`` is true.

    Raises
    ------
    TimeoutError
        It was still false after ``timeout_s``; the message names ``what``.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(POLL_S)


class Program:
    """One child process whose output goes to a file, across any number of starts."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = tuple(command)
        self.log = log
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is appended to ``log``."""
        if self.running:
            raise RuntimeError(f"already running: {self.command[0]}, process {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the test run, which then stops its programs in turn.
                start_new_session=True,
            )

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"never started: {self.command[0]}")
        return self._process

    @property
    def pid(self) -> int:
        """The id of the process started last."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive (a paused one is)."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """Everything it has written so far, over all starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal to the process, by its id."""
        self._started.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Return the exit code once it has ended (negative: the signal that ended it)."""
        try:
            return self._started.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(self._told(f"still running after {timeout_s:g} s")) from None

    def stop(self, timeout_s: float = 30.0) -> int:
        """End it by SIGTERM and return its exit code.

        Raises
        ------
        TimeoutError
            It did not end in time; it has been killed then.
        """
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except TimeoutError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it by SIGKILL, at once and without a word to it."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): alive for the system, silent for everybody else, all its threads."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self._states() <= {"T"}, "every thread to stop")

    def _states(self) -> set[str]:
        """Return the states of its threads, as the kernel names them."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return {task.read_text().rpartition(")")[2].split()[0] for task in tasks}

    def resume(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def wait_until_ready(self, ready: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Return once ``ready()`` is true.

        Raises
        ------
        RuntimeError
            It ended, or was not ready within ``timeout_s``; the message ends with its output.
        """
        try:
            wait_until(lambda: not self.running or ready(), "readiness", timeout_s)
        except TimeoutError:
            raise RuntimeError(self._told(f"not ready within {timeout_s:g} s")) from None
        if not self.running:
            raise RuntimeError(self._told(f"ended with code {self.wait()} before it was ready"))

    def _told(self, sentence: str) -> str:
        return f"{self.command[0]}: {sentence}; end of its output:\n{self.output[-TAIL_CHARS:]}"


def cartwake_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with ``settings`` as its only ``CARTWAKE_`` variables."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CARTWAKE_")}
    return inherited | dict(settings)


def cartwake_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line that runs ``cartwake`` with the interpreter of the tests."""
    return (sys.executable, "-m", "stream", *arguments)


def run_cartwake(
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Run one ``cartwake`` command to its end; exit code and output are in the answer."""
    return subprocess.run(
        cartwake_command(*arguments),
        cwd=REPOSITORY,
        env=cartwake_environment(settings or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Served(Program):
    """A ``cartwake`` process with a metrics page; ``with ...:`` starts it, ready, and stops it.

    ``settings`` are environment variables (``CARTWAKE_KAFKA__BOOTSTRAP`` ...); a free metrics
    port is added, so any number run side by side. Output goes to ``folder/name.log``.
    ``program`` is another command line that starts one.
    ``environment`` is what else it is to find in its environment.
    """

    def __init__(
        self,
        command: str,
        folder: Path,
        settings: Mapping[str, str],
        name: str,
        program: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.metrics_port = free_port()
        own = {f"CARTWAKE_{command.upper()}__METRICS_PORT": str(self.metrics_port)}
        found = cartwake_environment({**settings, **own}) | dict(environment or {})
        super().__init__(program or cartwake_command(command), folder / f"{name}.log", found)

    def start(self, *, ready_within_s: float | None = 60.0) -> None:
        """Start it and return once it is ready; with None, at once."""
        super().start()
        if ready_within_s is not None:
            self.wait_until_ready(self.is_ready, ready_within_s)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return self.get("/readyz")[0] == HTTPStatus.OK

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of its metrics port; status 0 means no answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.metrics_port, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.resume()
            self.stop()


class Worker(Served):
    """A ``cartwake worker``."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        name: str = "worker",
        program: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("worker", folder, settings, name, program, environment)


class Emailer(Served):
    """A ``cartwake emailer`` that writes at any hour and as fast as it goes.

    ``customers`` is the file of its directory.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        smtp_url: str,
        customers: Path,
        name: str = "emailer",
    ) -> None:
        own = {
            "SENDER": "Tea Shop <hello@shop.example>",
            "PUBLIC_URL": "https://events.shop.example",
            "CART_URL": "https://shop.example/cart",
            "SMTP_URL": smtp_url,
            "DIRECTORY": str(customers),
            "QUIET_FROM": "00:00",
            "QUIET_UNTIL": "00:00",
            "PER_DOMAIN_PER_S": "1000",
        }
        theirs = {f"CARTWAKE_EMAILER__{name}": value for name, value in own.items()}
        theirs["CARTWAKE_EDGE__SIGNING_KEYS"] = json.dumps(SIGNING_KEYS)
        super().__init__("emailer", folder, theirs | dict(settings), name)
