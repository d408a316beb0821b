"""The demo's loop, with a broker, a worker and a view that are made of nothing."""

import itertools
from pathlib import Path

import pytest

from stream.demo import show as shows
from stream.demo.show import Show
from stream.demo.traffic import TrafficRecord
from stream.errors import CartwakeError
from tests.demo.samples import decision, message, page, trigger


class FakeBroker:
    def __init__(self):
        self.sent = []
        self.out = []
        self.acknowledged = 0

    def stored(self, topics):
        return self.acknowledged

    def send(self, topic, key, value):
        self.sent.append((topic, key, value))

    def flush(self):
        self.acknowledged = len(self.sent)

    def reader(self, topics):
        return self

    def read(self, wait_s):
        out, self.out = self.out, []
        return out


class FakeWorker:
    """Counts one more record each time it is asked; publishes a last one when it is stopped."""

    log = Path("worker.log")

    def __init__(self, broker, *, code=0, reads=True):
        self.broker, self.code, self.reads = broker, code, reads
        self.counted, self.asked = 0, 0

    def get(self, path):
        self.asked += 1
        self.counted += self.reads and self.counted < len(self.broker.sent)
        return 200, page(applied=self.counted)

    def check(self):
        pass

    def stop(self):
        self.broker.out = [message(decision())]
        return self.code


class FakeView:
    def __init__(self):
        self.said: list[str] = []
        self.shown = 0

    def say(self, line):
        self.said.append(line)

    def show(self, tally, at_s):
        self.shown += 1


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch):
    monkeypatch.setattr(shows, "POLL_EVERY_S", 0.0)
    monkeypatch.setattr(shows, "QUIET_S", 0.0)


@pytest.fixture
def broker():
    return FakeBroker()


@pytest.fixture
def view():
    return FakeView()


def records(*moments_ms: int) -> "itertools.chain[TrafficRecord]":
    """Return records of these moments, and then none for a year."""
    due = (TrafficRecord(ms, "page-views", b"v", b"%d" % ms) for ms in moments_ms)
    return itertools.chain(
        due, itertools.repeat(TrafficRecord(2**60, "page-views", b"v", b"never"))
    )


def after(turns: int):
    """Return an ``is_over`` that lets so many turns pass."""
    left = iter(range(turns))
    return lambda: next(left, None) is None


def test_what_is_due_is_sent_and_the_rest_is_not(broker, view):
    show = Show(broker, FakeWorker(broker), view)
    show.play(records(1000, 1000, 1000, 3_600_000), None, after(3))
    assert broker.sent == [("page-views", b"v", b"1000")] * 3
    assert show.tally.sent.total() == 3


def test_the_time_limit_ends_it(broker, view):
    show = Show(broker, FakeWorker(broker), view)
    assert show.play(records(0), 0.001, lambda: False) >= 0.001


def test_a_flood_does_not_stop_the_view(broker, view, monkeypatch):
    monkeypatch.setattr(shows, "SEND_S", 0.0)
    show = Show(broker, FakeWorker(broker), view)
    show.play(itertools.repeat(TrafficRecord(0, "page-views", b"v", b"")), None, after(5))
    assert view.shown == 5


def test_a_trigger_is_said_when_it_comes(broker, view):
    broker.out = [message(trigger()), message(trigger()), message(decision())]
    Show(broker, FakeWorker(broker), view).play(records(0), None, after(1))
    assert [line for line in view.said if "cart_abandonment" in line] == view.said
    assert len(view.said) == 1


def test_the_drain_ends_when_everything_sent_is_counted(broker, view):
    worker = FakeWorker(broker)
    show = Show(broker, worker, view)
    show.play(records(*[0] * 20), None, after(2))
    show.drain()
    assert show.tally.counted == broker.acknowledged == 20


def test_the_drain_ends_though_the_worker_has_stopped_reading(broker, view, monkeypatch):
    monkeypatch.setattr(shows, "DRAIN_S", 0.0)
    show = Show(broker, FakeWorker(broker, reads=False), view)
    show.play(records(0), None, after(1))
    show.drain()
    assert show.tally.counted < broker.acknowledged


def test_the_last_words_of_a_stopping_worker_are_read(broker, view):
    show = Show(broker, FakeWorker(broker), view)
    show.stop()
    assert show.tally.count("fired") == 1


def test_a_worker_that_stops_with_an_error_fails_the_demo(broker, view):
    with pytest.raises(CartwakeError, match=r"stopped with code 70; its log: worker\.log"):
        Show(broker, FakeWorker(broker, code=70), view).stop()
