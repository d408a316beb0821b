"""What the dispatcher does with a pending delivery, over fakes of all that it asks."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from stream.delivery.backlog import Backlog
from stream.delivery.channel import Accepted, Declined, Failed, Later
from stream.delivery.dispatcher import DOUBT_MS, Dispatcher
from stream.delivery.fresh_state import InDoubt
from stream.delivery.metrics import DeliveryMetrics
from stream.delivery.trigger_reader import Share, Taken
from stream.domain.campaign.reasons import Reason
from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageRefused,
    MessageSent,
    MessageSkipped,
)
from stream.runtime.bulkhead import Bulkhead, DefectCounter, TooManyDefects
from tests.delivery.triggers import NOW_MS, cancel, skipped, trigger, was_sent
from tests.domain.build import IDLE, Shopper

WAITS_S = (1.0, 5.0)


class Here:
    """The dispatcher's world: a reader of one share, a channel, and what was asked, in order."""

    def __init__(self):
        self.now_ms, self.asked, self.told = NOW_MS, [], []
        self.share = Share(0, Backlog(), {})
        self.prepared, self.sent, self.held = "a message", Accepted(), True
        self.recalled, self.objection = "a cancel", None
        shopper = Shopper()
        shopper.grants(at=NOW_MS - IDLE)
        shopper.adds(at=NOW_MS - IDLE)
        shopper.waits(NOW_MS)
        (self.trigger,) = shopper.triggers
        self.shopper, self.in_doubt = shopper, False
        self.registry = CollectorRegistry()
        self.dispatcher = Dispatcher(
            name="email",
            channel=self,
            reader=self,
            fresh_state=self,
            outcomes=self,
            metrics=DeliveryMetrics(self.registry),
            now_ms=lambda: self.now_ms,
            bulkhead=Bulkhead("delivery", DefectCounter(self.registry, "emailer"), waits_s=WAITS_S),
        )
        self.share.backlog.take(self.trigger, self.now_ms)

    # The reader.
    def take_due(self):
        pending = self.share.backlog.take_due(self.now_ms)
        return pending and Taken(self.share, pending)

    def pending(self):
        return len(self.share.backlog), self.share.backlog.next_ms()

    async def wait(self):
        self.dispatcher.stop()

    @asynccontextmanager
    async def acting(self, taken):
        self.share.busy += 1
        yield
        self.share.busy -= 1

    async def confirm_ownership(self, _):
        self.asked.append("confirm")
        if isinstance(self.held, Exception):
            raise self.held
        return self.held

    # The fresh state.
    async def state(self, _):
        self.asked.append("state")
        if self.in_doubt:
            raise InDoubt
        return self.shopper.state

    # The channel.
    async def prepare(self, trigger, last_sent_ms, now_ms):
        self.asked.append("prepare")
        self.last_sent_ms = last_sent_ms
        return self.prepared

    async def last_look(self, message, trigger, state, now_ms):
        assert (message, state, now_ms) == ("a message", self.shopper.state, self.now_ms)
        return self.objection

    def recall(self, cancel):
        self.asked.append("recall")
        return self.recalled

    async def send(self, message, attempts, now_ms):
        assert message in {"a message", "a cancel"}
        assert self.share.busy == 1
        self.asked.append("send")
        return self.sent

    # Where outcomes are written.
    async def write(self, outcome):
        self.asked.append("write")
        self.told.append(outcome)

    async def work(self):
        self.dispatcher._is_stopped = False
        await self.dispatcher.work()

    def count(self, name, **labels):
        labels = {"channel": "email", **labels}
        return self.registry.get_sample_value(f"cartwake_delivery_{name}", labels)


@pytest.fixture
def here():
    return Here()


async def test_a_debt_is_prepared_asked_about_once_more_sent_and_told(here):
    await here.work()
    assert here.asked == ["prepare", "state", "confirm", "send", "write"]
    (outcome,) = here.told
    assert isinstance(outcome, MessageSent)
    assert (outcome.trigger_id, outcome.channel) == (here.trigger.trigger_id, "email")
    assert (outcome.tenant, outcome.visitor) == ("shop", "ann")
    assert here.pending() == (0, None)
    assert here.count("messages_total", kind="cart_abandonment", outcome="sent") == 1


async def test_nothing_is_done_twice(here):
    await here.work()
    here.share.backlog.take(here.trigger, here.now_ms)
    await here.work()
    assert here.asked.count("send") == 1


async def test_the_same_outcome_has_the_same_id(here):
    other = Here()
    await here.work()
    await other.work()
    assert here.told[0].id == other.told[0].id


@pytest.mark.parametrize(
    "spoil",
    [
        lambda here: here.shopper.orders(at=NOW_MS + 1),
        lambda here: here.shopper.refuses("marketing_email", at=NOW_MS),
        lambda here: here.share.backlog.cancel(cancel(here.trigger), NOW_MS),
        lambda here: setattr(here, "now_ms", here.trigger.expires_at_ms),
        lambda here: setattr(here, "prepared", Reason.NO_ADDRESS),
    ],
    ids=["bought", "no_consent", "cancelled", "expired", "no_address"],
)
async def test_what_must_not_be_sent_is_told_as_skipped_for_good(here, spoil, request):
    spoil(here)
    await here.work()
    (outcome,) = here.told
    assert isinstance(outcome, MessageSkipped)
    assert outcome.reason == request.node.callspec.id
    assert "send" not in here.asked
    assert here.pending() == (0, None)
    assert here.count("skipped_total", reason=outcome.reason) == 1


@pytest.mark.parametrize("objection", [Later(NOW_MS + 7, "cap"), Reason.UNSUBSCRIBED])
async def test_the_channel_has_the_last_word_before_a_message_is_sent(here, objection):
    here.objection = objection
    await here.work()
    assert here.asked[:2] == ["prepare", "state"]
    assert "send" not in here.asked
    if objection is Reason.UNSUBSCRIBED:
        assert here.told[0].reason == "unsubscribed"
    else:
        assert here.pending() == (1, NOW_MS + 7)


@pytest.mark.parametrize("what", ["state", "kafka"])
async def test_nothing_is_sent_in_doubt_and_it_is_asked_again(here, what):
    here.in_doubt = what == "state"
    here.held = KafkaConnectionError() if what == "kafka" else True
    await here.work()
    assert here.asked[-1] in {"state", "confirm"}
    assert here.pending() == (1, NOW_MS + DOUBT_MS)
    here.in_doubt, here.held, here.now_ms = False, True, NOW_MS + DOUBT_MS
    await here.work()
    assert here.asked.count("send") == 1


async def test_what_is_not_known_to_be_ours_is_not_sent_and_asked_about_again(here):
    here.held = False
    await here.work()
    assert here.asked == ["prepare", "state", "confirm"]
    assert here.told == []
    assert here.pending() == (1, NOW_MS + DOUBT_MS)


async def test_a_visitor_who_is_still_here_is_left_alone_until_gone(here):
    here.shopper.views(at=NOW_MS - 5)
    await here.work()
    assert "send" not in here.asked
    assert here.pending() == (1, NOW_MS - 5 + IDLE)


async def test_what_is_put_off_or_failed_comes_again_and_only_failures_are_counted(here):
    here.prepared = Later(NOW_MS + 10, "pace")
    await here.work()
    assert here.asked == ["prepare"]
    here.prepared, here.now_ms, here.sent = "a message", NOW_MS + 10, Failed(NOW_MS + 50, "delayed")
    await here.work()
    assert here.pending() == (1, NOW_MS + 50)
    here.now_ms = NOW_MS + 50
    assert here.take_due().pending.attempts == 1
    assert here.count("postponed_total", why="pace") == 1
    assert here.count("postponed_total", why="delayed") == 1


async def test_a_refusal_is_final_and_tells_the_code(here):
    here.sent = Declined(550)
    await here.work()
    (outcome,) = here.told
    assert isinstance(outcome, MessageRefused)
    assert outcome.code == 550
    assert here.pending() == (0, None)


async def test_a_code_outside_the_contract_is_left_out(here):
    here.sent = Declined(999)
    await here.work()
    assert here.told[0].code is None


async def test_the_channel_hears_when_the_visitor_was_last_sent_anything(here):
    earlier = trigger("9", tenant="shop", visitor="ann")
    here.share.backlog.settle(was_sent(earlier, at_ms=NOW_MS - 77), NOW_MS)
    here.share.backlog.settle(skipped(trigger("8", tenant="shop", visitor="ann")), NOW_MS)
    await here.work()
    assert here.last_sent_ms == NOW_MS - 77


async def test_nothing_else_is_begun_before_it_is_told_what_became_of_one(here):
    told = asyncio.Event()

    async def write(_):
        here.asked.append("write")
        await told.wait()

    here.write = write
    here.share.backlog.take(trigger("2", tenant="shop", visitor="ann"), NOW_MS)
    working = asyncio.create_task(here.work())
    for _ in range(20):
        await asyncio.sleep(0)
    assert here.asked == ["prepare", "state", "confirm", "send", "write"]
    told.set()
    await working
    assert here.asked.count("write") == 2


async def called_back(here):
    """Let what was sent be cancelled, and act on that."""
    here.share.backlog.cancel(cancel(here.trigger), here.now_ms)
    here.asked.clear()
    here.told.clear()
    await here.work()


async def test_the_cancel_of_what_was_sent_is_sent_and_told_without_asking_for_consent(here):
    await here.work()
    here.shopper.refuses("marketing_email", at=NOW_MS)
    here.in_doubt = True
    await called_back(here)
    assert here.asked == ["recall", "confirm", "send", "write"]
    (outcome,) = here.told
    assert isinstance(outcome, CancelSent)
    assert (outcome.trigger_id, outcome.visitor) == (here.trigger.trigger_id, "ann")
    assert here.pending() == (0, None)
    assert here.count("cancels_total", kind="cart_abandonment", outcome="sent") == 1
    assert here.count("messages_total", kind="cart_abandonment", outcome="sent") == 1


async def test_the_outcomes_of_a_trigger_and_of_its_cancel_have_ids_of_their_own(here):
    await here.work()
    (message,) = here.told
    await called_back(here)
    assert here.told[0].id != message.id


async def test_a_cancel_is_sent_once(here):
    await here.work()
    await called_back(here)
    await called_back(here)
    assert here.asked == []


async def test_what_is_cancelled_while_it_is_on_its_way_is_called_back_afterwards(here):
    async def send(message, attempts, now_ms):
        here.asked.append(message)
        here.share.backlog.cancel(cancel(here.trigger), NOW_MS)
        return Accepted()

    here.send = send
    await here.work()
    await here.work()
    assert [type(one) for one in here.told] == [MessageSent, CancelSent]
    assert [one for one in here.asked if one in {"a message", "a cancel"}] == [
        "a message",
        "a cancel",
    ]


async def test_a_cancel_that_fails_is_tried_again_and_refused_in_the_end(here):
    await here.work()
    here.sent = Failed(NOW_MS + 50, "failed")
    await called_back(here)
    assert here.told == []
    assert here.pending() == (1, NOW_MS + 50)
    here.now_ms, here.sent = NOW_MS + 50, Declined(503)
    await here.work()
    (outcome,) = here.told
    assert isinstance(outcome, CancelRefused)
    assert outcome.code == 503
    assert here.pending() == (0, None)


async def test_a_cancel_waits_while_it_is_not_known_whose_it_is(here):
    await here.work()
    here.held = False
    await called_back(here)
    assert here.told == []
    assert here.pending() == (1, NOW_MS + DOUBT_MS)


async def test_what_is_cancelled_after_an_attempt_that_failed_is_called_back(here):
    here.sent = Failed(NOW_MS + 50, "failed")
    await here.work()
    here.now_ms, here.sent = NOW_MS + 50, Accepted()
    await called_back(here)
    skip, recall = here.told
    assert isinstance(skip, MessageSkipped)
    assert (skip.reason, skip.attempts) == ("cancelled", 1)
    assert isinstance(recall, CancelSent)
    assert here.asked.count("send") == 1


async def test_where_nobody_can_be_told_a_cancel_is_nothing_to_do(here):
    await here.work()
    here.recalled = None
    await called_back(here)
    assert here.asked == ["recall"]
    assert here.pending() == (0, None)


async def test_a_cancel_of_what_has_expired_is_not_told(here):
    await here.work()
    here.now_ms = here.trigger.expires_at_ms
    await called_back(here)
    assert here.asked == []
    assert here.pending() == (0, None)


class DefectError(Exception):
    """What nobody has foreseen."""


def fails(here, what, visitor="ann", error=DefectError):
    """Let a part of the world fail whenever it is asked about this visitor."""
    asked = getattr(here, what)

    async def failing(subject, *args):
        here.asked.append(what)
        found = getattr(subject, "visitor", visitor)
        if found == visitor:
            raise error
        here.asked.pop()
        return await asked(subject, *args)

    setattr(here, what, failing)


async def tries(here, waits_s=WAITS_S):
    """Let all tries be made, each when it is time."""
    await here.work()
    for wait_s in waits_s:
        assert here.pending() == (1, here.now_ms + wait_s * 1000)
        here.now_ms += int(wait_s * 1000)
        await here.work()


@pytest.mark.parametrize("what", ["prepare", "state", "send"])
async def test_a_delivery_with_a_defect_is_tried_again_and_skipped_in_the_end(here, what):
    fails(here, what)
    await tries(here)
    assert here.asked.count(what) == 3
    (outcome,) = here.told
    assert isinstance(outcome, MessageSkipped)
    assert outcome.reason == "defect"
    assert here.pending() == (0, None)
    assert here.count("skipped_total", reason="defect") == 1
    assert here.count("postponed_total", why="defect") == 2


async def test_the_others_are_delivered_while_one_has_a_defect(here):
    fails(here, "prepare")
    for number in range(2, 30):
        here.share.backlog.take(trigger(str(number), tenant="shop", visitor=f"b{number}"), NOW_MS)
    fails(here, "prepare", error=DefectError)
    await here.work()
    assert len(here.told) == 28
    assert here.pending()[0] == 1


async def test_what_may_have_been_sent_before_its_defect_can_be_cancelled(here):
    fails(here, "send")
    await tries(here)
    assert here.told[0].attempts == 3
    here.send = Here.send.__get__(here)
    await called_back(here)
    assert isinstance(here.told[0], CancelSent)


async def test_what_was_never_sent_gets_no_cancel_after_its_defect(here):
    fails(here, "prepare")
    await tries(here)
    assert here.told[0].attempts == 0
    await called_back(here)
    assert here.told == []


async def test_an_outcome_that_could_not_be_written_is_written_later_and_nothing_is_sent_again(
    here,
):
    write, here.failures = here.write, 1

    async def failing(outcome):
        if here.failures:
            here.failures -= 1
            raise DefectError
        await write(outcome)

    here.write = failing
    await here.work()
    assert here.pending() == (1, NOW_MS + 1000)
    here.now_ms += 1000
    await here.work()
    assert here.asked.count("send") == 1
    assert isinstance(here.told[0], MessageSent)


async def test_an_outcome_that_can_never_be_written_ends_it_all_the_same(here):
    fails(here, "write")
    await tries(here)
    assert here.pending() == (0, None)
    assert here.asked.count("send") == 1


async def test_a_cancel_with_a_defect_is_refused_in_the_end(here):
    await here.work()
    here.recalled = None

    def failing(_):
        raise DefectError

    here.recall = failing
    here.share.backlog.cancel(cancel(here.trigger), NOW_MS)
    await tries(here)
    assert isinstance(here.told[-1], CancelRefused)


async def test_different_deliveries_that_fail_in_a_row_end_the_process(here):
    for number in range(2, 30):
        here.share.backlog.take(trigger(str(number), tenant="shop", visitor="ann"), NOW_MS)
    fails(here, "prepare")
    with pytest.raises(TooManyDefects):
        await here.work()
