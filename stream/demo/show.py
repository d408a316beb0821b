"""The demo's loop: send due records, read the results, poll the worker, update the view.

One thread, and no wait without a limit. If the worker fails, the demo ends.
"""

import time
from collections.abc import Callable, Iterator

from stream.demo.embedded import Broker, WorkerProcess
from stream.demo.tally import READ_TOPICS, Tally
from stream.demo.traffic import TrafficRecord
from stream.demo.view import View, trigger_line
from stream.domain.topics import LANES
from stream.errors import CartwakeError

POLL_EVERY_S, READ_S = 0.5, 0.02
# How long one round may send before the results are read again.
SEND_S = 0.1
DRAIN_S = 30.0
# After the worker has stopped, its last records are read within this time.
QUIET_S = 0.3


class Show:
    """A running demo between a broker, a worker and a view."""

    def __init__(self, broker: Broker, worker: WorkerProcess, view: View) -> None:
        self.tally = Tally()
        self._broker, self._worker, self._view = broker, worker, view
        self._reader = broker.reader(READ_TOPICS)
        self._start_s = time.monotonic()
        self._polled_s = 0.0

    @property
    def _at_s(self) -> float:
        return time.monotonic() - self._start_s

    def play(
        self, records: Iterator[TrafficRecord], seconds: float | None, is_over: Callable[[], bool]
    ) -> float:
        """Send records when they are due, until the time is over; return the duration in s.

        The first record's ``send_ms`` is now, whatever it is.
        """
        record = next(records)
        self._start_s, zero_ms = time.monotonic(), record.send_ms
        while not is_over() and (seconds is None or self._at_s < seconds):
            until_s = self._at_s + SEND_S
            while record.send_ms - zero_ms <= self._at_s * 1000 and self._at_s < until_s:
                self._broker.send(record.topic, record.key, record.value)
                self.tally.sent[record.note] += 1
                record = next(records)
            self._round()
        return self._at_s

    def drain(self) -> None:
        """Wait, for a limited time, until the worker has counted every sent record."""
        self._broker.flush()
        self._view.say("no more shoppers; the worker reads the remaining events ...")
        until_s = self._at_s + DRAIN_S
        self._poll()
        stored = self._broker.stored(LANES)
        while self.tally.counted < stored and self._at_s < until_s:
            self._round()

    def stop(self) -> None:
        """Stop the worker and read its last records."""
        self._poll()
        code = self._worker.stop()
        if code != 0:
            raise CartwakeError(f"the worker stopped with code {code}; its log: {self._worker.log}")
        until_s = self._at_s + QUIET_S
        while self._read() or self._at_s < until_s:
            pass

    def _round(self) -> None:
        self._read()
        if self._at_s >= self._polled_s + POLL_EVERY_S:
            self._poll()

    def _read(self) -> bool:
        """Read new records for a moment; return whether there were any."""
        messages = self._reader.read(READ_S)
        for message in messages:
            trigger = self.tally.take(message)
            if trigger:
                self._view.say(f"{self._at_s:6.1f} s  {trigger_line(trigger)}")
        return bool(messages)

    def _poll(self) -> None:
        self._polled_s = self._at_s
        self._worker.check()
        status, page = self._worker.get("/metrics")
        if status:
            self.tally.read_page(page)
        self.tally.note_moment(self._at_s)
        self._view.show(self.tally, self._at_s)
