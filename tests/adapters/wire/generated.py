"""Valid records made from the types themselves, so that a new field is generated at once."""

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from stream.domain.kinds import KIND_OF
from stream.domain.records import Decision, Example, Trigger, TriggerCancel
from stream.domain.topics import LANES, event_types
from stream.domain.visitor import Visitor

MAX_ITEMS = 3
SAFE = 2**53


def _union(info):
    return st.one_of(*map(_values, info.types))


def _struct(info):
    fields = {field.name: _values(field.type) for field in info.fields}
    return st.builds(info.cls, **fields)


def _text(info):
    if info.pattern is not None:
        alphabet = st.characters(codec="utf-8", max_codepoint=0x2FF)
        made = st.from_regex(info.pattern, fullmatch=True, alphabet=alphabet)
        low, high = info.min_length or 0, info.max_length or SAFE
        # Python's $ also matches before a last line feed; no producer means one.
        return made.filter(lambda text: low <= len(text) <= high and text[-1:] != "\n")
    return st.text(
        st.characters(codec="utf-8"), min_size=info.min_length or 0, max_size=info.max_length or 8
    )


def _whole(info):
    low = -SAFE if info.ge is None else info.ge
    return st.integers(low, SAFE if info.le is None else info.le)


def _items(info):
    return st.lists(_values(info.item_type), max_size=MAX_ITEMS)


def _pairs(info):
    return st.dictionaries(_values(info.key_type), _values(info.value_type), max_size=MAX_ITEMS)


def _raw(_):
    """What a kind remembers may be anything; this version need not know the kind."""
    plain = st.none() | st.integers(-SAFE, SAFE) | st.text(st.characters(codec="utf-8"), max_size=8)
    lists = st.lists(plain | st.lists(plain, max_size=MAX_ITEMS), max_size=MAX_ITEMS)
    return lists.map(lambda value: msgspec.Raw(msgspec.msgpack.encode(value)))


MAKERS = {
    inspect.BoolType: lambda _: st.booleans(),
    inspect.BytesType: lambda _: st.binary(max_size=32),
    inspect.DictType: _pairs,
    inspect.EnumType: lambda info: st.sampled_from(list(info.cls)),
    inspect.FloatType: lambda _: st.floats(allow_nan=False, allow_infinity=False),
    inspect.IntType: _whole,
    inspect.ListType: _items,
    inspect.LiteralType: lambda info: st.sampled_from(info.values),
    inspect.NoneType: lambda _: st.none(),
    inspect.RawType: _raw,
    inspect.StrType: _text,
    inspect.StructType: _struct,
    inspect.UnionType: _union,
}


def _values(info):
    if isinstance(info, inspect.Metadata):
        pattern = (info.extra_json_schema or {}).get("pattern")
        info = info.type
        if pattern is not None:  # the codec's to check, not the decoder's
            info = msgspec.structs.replace(info, pattern=pattern)
    return MAKERS[type(info)](info)


def made(kind):
    """Return a strategy for valid instances of a struct."""
    return _values(inspect.type_info(kind))


EVENTS = st.one_of(*map(made, event_types(LANES)))
STATES = made(Visitor)

# What the types of the records out do not say, and the code that makes them does.
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
SHARES = st.floats(0, 1)
COUNTS = st.integers(0, SAFE)
NAMES = st.sampled_from(sorted(KIND_OF))


def _with(record, /, **changes):
    return st.builds(msgspec.structs.replace, made(record), **changes)


@st.composite
def _triggers(draw):
    known = {"kind": NAMES, "trigger_id": IDS, "session": IDS, "step": COUNTS, "score": st.none()}
    trigger = draw(_with(Trigger, **known))
    if trigger.cart is None:
        return trigger
    cart = msgspec.structs.replace(trigger.cart, fingerprint=draw(IDS), value_minor=draw(COUNTS))
    return msgspec.structs.replace(trigger, cart=cart)


def _decisions():
    known = {
        "kind": NAMES,
        "decision_id": IDS,
        "outcome": st.just("skipped"),
        "trigger_id": st.none(),
    }
    skipped = _with(Decision, **known, reason=st.sampled_from(["no_consent", "holdout"]))
    known |= {"outcome": st.just("fired"), "trigger_id": IDS}
    return skipped | _with(Decision, **known, reason=st.just("fired"))


EFFECTS = st.one_of(
    _triggers(),
    _decisions(),
    _with(TriggerCancel, kind=NAMES, trigger_id=IDS),
    _with(Example, example_id=IDS, predicted=SHARES, version=COUNTS),
)
