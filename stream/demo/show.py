"""The demo's loop: send what is due, read what has come out, look at the worker, show it.

The one rule: one thread and no wait without a bound; a broken worker ends the show.
"""

import time
from collections.abc import Callable, Iterator

from stream.demo.embedded import Broker, WorkerProcess
from stream.demo.tally import READ_TOPICS, Tally
from stream.demo.traffic import TrafficRecord
from stream.demo.view import View, trigger_line
from stream.domain.topics import LANES
from stream.errors import CartwakeError

LOOK_EVERY_S, READ_S = 0.5, 0.02
# How long one turn may send before the results are looked at again.
SEND_S = 0.1
DRAIN_S = 30.0
# What a writer that has stopped had published is read within this, or keeps coming.
QUIET_S = 0.3


class Show:
    """A running demo between a broker, a worker and a view."""

    def __init__(self, broker: Broker, worker: WorkerProcess, view: View) -> None:
        self.tally = Tally()
        self._broker, self._worker, self._view = broker, worker, view
        self._reader = broker.reader(READ_TOPICS)
        self._start_s = time.monotonic()
        self._looked_s = 0.0

    @property
    def _at_s(self) -> float:
        return time.monotonic() - self._start_s

    def play(
        self, records: Iterator[TrafficRecord], seconds: float | None, is_over: Callable[[], bool]
    ) -> float:
        """Send records as they fall due until the time or the patience ends; return how long.

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
            self._turn()
        return self._at_s

    def drain(self) -> None:
        """Wait, with a bound, until the worker has counted every record that was sent."""
        self._broker.flush()
        self._view.say("no more shoppers; the worker reads what is left ...")
        until_s = self._at_s + DRAIN_S
        self._look()
        stored = self._broker.stored(LANES)
        while self.tally.counted < stored and self._at_s < until_s:
            self._turn()

    def stop(self) -> None:
        """Stop the worker and read the last records that it has published."""
        self._look()
        code = self._worker.stop()
        if code != 0:
            raise CartwakeError(f"the worker stopped with code {code}; its log: {self._worker.log}")
        until_s = self._at_s + QUIET_S
        while self._read() or self._at_s < until_s:
            pass

    def _turn(self) -> None:
        self._read()
        if self._at_s >= self._looked_s + LOOK_EVERY_S:
            self._look()

    def _read(self) -> bool:
        """Take what has come out, for a moment; return whether anything has."""
        messages = self._reader.read(READ_S)
        for message in messages:
            trigger = self.tally.take(message)
            if trigger:
                self._view.say(f"{self._at_s:6.1f} s  {trigger_line(trigger)}")
        return bool(messages)

    def _look(self) -> None:
        self._looked_s = self._at_s
        self._worker.check()
        status, page = self._worker.get("/metrics")
        if status:
            self.tally.read_page(page)
        self.tally.note_moment(self._at_s)
        self._view.show(self.tally, self._at_s)
