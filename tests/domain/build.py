"""Shoppers on a virtual clock, by which the domain's tests drive the fold.

The one rule: moments are milliseconds from 0, and nothing happens but what a test says.
"""

from itertools import count

import msgspec
from msgspec.structs import replace

from stream.adapters.wire.codec import clamp
from stream.domain.context import FoldContext
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.events import (
    CartUpdated,
    CheckoutStarted,
    ConsentUpdated,
    ErasureRequested,
    ExitSignalled,
    Line,
    OrderCompleted,
    PageViewed,
    Product,
    ProductAdded,
    ProductRemoved,
    Purposes,
)
from stream.domain.fold import apply
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT, CartAbandonmentMemory
from stream.domain.kinds.exit_intent import EXIT_INTENT
from stream.domain.policy import DAY_MS, HOUR_MS, MINUTE_MS, Holdout, Policy
from stream.domain.records import Decision, Example, Score, Trigger, TriggerCancel
from stream.domain.topics import TOPIC_OF
from stream.domain.visitor import Visitor, VisitorKey
from stream.shard.clock import Fact

MINUTE, HOUR, DAY = MINUTE_MS, HOUR_MS, DAY_MS
IDLE = 30 * MINUTE
# The contract's defaults, but for the holdout: a test that wants one says so.
POLICY = Policy(holdout=Holdout(fraction=0.0))
EVERYBODY = Holdout(fraction=1.0)
BOTH = ("personalization", "marketing_email")


def reminding(policy=POLICY, **changes):
    """Return the policy with other rules for cart reminders; times are milliseconds, as here."""
    return with_parameters(policy, CART_ABANDONMENT, **in_seconds(changes))


def answering(policy=POLICY, **changes):
    """Return the policy with other rules for exit signals; times are milliseconds, as here."""
    return with_parameters(policy, EXIT_INTENT, **in_seconds(changes, but="min_dwell_ms"))


def with_parameters(policy, kind, **changes):
    """Return a policy in which some parameters of a kind are others."""
    changed = replace(kind.parameters_in(policy), **changes)
    return replace(policy, parameters={**policy.parameters, kind.name: changed})


def in_seconds(changes, but=None):
    """Return parameters by the names that the contract has: those in seconds end in ``_s``."""
    return dict(
        (name[:-2] + "s", _seconds(value))
        if name.endswith("_ms") and name != but
        else (name, value)
        for name, value in changes.items()
    )


def _seconds(ms):
    if isinstance(ms, tuple):
        return tuple(map(_seconds, ms))
    assert ms % 1_000 == 0, "parameters are whole seconds"
    return ms // 1_000


def even(model, features):
    """Score like a coin; implements ``stream.domain.context.ScoreFeatures``."""
    return Score(model, 1, 0.5)


class World:
    """Visitors' states, and the effects in the order in which they came about.

    The clock is ``records``: before a fact is folded, its visitor's deadlines pass that are due
    strictly before its record, each judged by its own moment. With ``live`` facts find a backlog:
    no deadline passes until `wait` is told to, and then by the moment it is told.
    """

    def __init__(self, policy=POLICY, score=even, *, live=False, kinds=REGISTRY):
        self.policy, self.score, self.live, self.kinds = policy, score, live, kinds
        self.states, self.effects, self.clock_ms = {}, [], 0

    def context(self, who):
        state = self.states.setdefault(who, Visitor())
        return FoldContext(
            who, state, self.policy, self.score, self.clock_ms, self.effects, self.kinds
        )

    def take(self, fact, judged_ms=None):
        """Fold a fact; ``judged_ms`` stands for the wall clock that it is read by."""
        self.clock_ms = max(self.clock_ms, fact.record_ms)
        context = self.context(fact.key)
        if not self.live:
            pass_deadlines(context, self.clock_ms - 1, None)
        context.now_ms = fact.at_ms if judged_ms is None else judged_ms
        context.received_ms = fact.record_ms
        return apply(context, fact.event, fact.at_ms, bot=fact.bot)

    def wait(self, until_ms, judged_ms=None):
        """Let all deadlines pass up to and including a moment."""
        self.clock_ms = max(self.clock_ms, until_ms)
        judged_ms = until_ms if self.live and judged_ms is None else judged_ms
        for who in list(self.states):
            pass_deadlines(self.context(who), until_ms, judged_ms)

    def stop_and_resume(self):
        """Write all states down and read them again, as a store does."""
        self.states = {who: restored(state) for who, state in self.states.items()}


def restored(state):
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Visitor)


def product(product_id="p1", price=1000, currency="EUR", **fields):
    return Product(product_id, price_minor=price, currency=currency, **fields)


def line(product_id="p1", quantity=1, **fields):
    return Line(product(product_id, **fields), quantity)


class Shopper:
    """One visitor of a world. What the shopper does returns what became of it.

    ``at`` is the event's time; ``read`` that of its record, if it comes late or early; ``judged``
    the wall clock; other fields are the event's own.
    """

    def __init__(self, policy=POLICY, *, world=None, who=("shop", "ann"), **more):
        self.world = world or World(policy, **more)
        self.who = VisitorKey(*who)
        self._numbers = count()

    def does(self, kind, at, *, read=None, judged=None, bot=False, **fields):
        fields.setdefault("id", f"{self.who.visitor}-{next(self._numbers)}")
        event = kind(tenant=self.who.tenant, visitor=self.who.visitor, at_ms=at, **fields)
        record_ms = max(at, self.world.clock_ms) if read is None else read
        fact = Fact(self.who, event, clamp(at, record_ms), record_ms, TOPIC_OF[kind], bot)
        return self.world.take(fact, judged)

    def chooses(self, at, *, until=None, **more):
        """Say yes or no per purpose; what names no purpose is a field or a circumstance."""
        purposes = {name: more.pop(name) for name in Purposes.__struct_fields__ if name in more}
        return self.does(
            ConsentUpdated, at, purposes=Purposes(**purposes), valid_until_ms=until, **more
        )

    def grants(self, *purposes, at=0, **more):
        return self.chooses(at, **dict.fromkeys(purposes or BOTH, "granted"), **more)

    def refuses(self, *purposes, at, **more):
        return self.chooses(at, **dict.fromkeys(purposes or BOTH, "withdrawn"), **more)

    def is_erased(self, at, **more):
        return self.does(ErasureRequested, at, **more)

    def views(self, at, **more):
        return self.does(PageViewed, at, url="https://shop.example/", **more)

    def adds(
        self,
        product_id="p1",
        *,
        at,
        quantity=1,
        price=1000,
        currency="EUR",
        variant=None,
        name=None,
        **more,
    ):
        item = product(product_id, price, currency, variant=variant, name=name)
        return self.does(ProductAdded, at, product=item, quantity=quantity, **more)

    def removes(self, product_id="p1", *, at, **more):
        return self.does(ProductRemoved, at, product_id=product_id, **more)

    def updates(self, *lines, at, **more):
        return self.does(CartUpdated, at, lines=list(lines), **more)

    def checks_out(self, at, **more):
        return self.does(CheckoutStarted, at, **more)

    def orders(self, order="o1", *, at, **more):
        return self.does(OrderCompleted, at, order=order, total_minor=1000, currency="EUR", **more)

    def leaves(self, at, dwell=5000, signal="pointer_left_top", **more):
        return self.does(ExitSignalled, at, signal=signal, dwell_ms=dwell, **more)

    def waits(self, until, judged=None):
        self.world.wait(until, judged)

    @property
    def state(self):
        return self.world.states[self.who]

    @property
    def behaviour(self):
        return self.state.behaviour

    @property
    def reminded(self):
        """What the kind cart_abandonment remembers of this shopper."""
        return CART_ABANDONMENT.memory_in(self.behaviour) or CartAbandonmentMemory()

    @property
    def cart(self):
        """What is in the cart: quantities by product and variant."""
        cart = self.behaviour.cart
        lines = cart.lines if cart is not None else []
        return {one.id if one.product.variant else one.product.id: one.quantity for one in lines}

    @property
    def next_due_ms(self):
        return next_due_ms(self.state, self.world.policy, self.world.kinds)

    def told(self, kind):
        """Everything of one kind that came of this shopper."""
        who = self.who
        return [
            effect
            for effect in self.world.effects
            if isinstance(effect, kind)
            and (kind is Example or (effect.tenant, effect.visitor) == who)
        ]

    @property
    def triggers(self):
        return self.told(Trigger)

    @property
    def decisions(self):
        return self.told(Decision)

    @property
    def cancels(self):
        return self.told(TriggerCancel)

    @property
    def reminders(self):
        """Which steps have been reminded of, and when that was due."""
        return [
            (one.step, one.due_at_ms) for one in self.triggers if one.kind == "cart_abandonment"
        ]

    @property
    def examples(self):
        return self.told(Example)

    @property
    def reasons(self):
        return [decision.reason for decision in self.decisions]


def a_shopper(policy=POLICY, **more):
    """Return a shopper who has allowed personalization and e-mail from the beginning."""
    shopper = Shopper(policy, **more)
    shopper.grants(at=0)
    return shopper
