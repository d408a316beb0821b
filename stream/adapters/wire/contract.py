"""The contract's records as JSON Schema, made from the types that read and write them.

The schema says what the types say; the tables here add only what types cannot say.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import msgspec

from stream.adapters.wire.codec import Defect
from stream.adapters.wire.outgoing import ANY_BYTES, JSON
from stream.domain.campaign.reasons import Reason
from stream.domain.cart import MAX_EVIDENCE
from stream.domain.consent import Purpose
from stream.domain.events import MAX_LINES
from stream.domain.ids import ID_BYTES
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.kind import Kinds
from stream.domain.kinds.subject import MAX_PRODUCTS
from stream.domain.records import Decision, Trigger, TriggerCancel
from stream.domain.topics import DEAD_LETTERS, LANES, TOPICS, TYPE_OF

Schema = dict[str, Any]

# The value types of the topics out. A dead letter's value is whatever bytes were read.
RECORDS: Final[dict[str, type[msgspec.Struct] | None]] = {
    name: next(iter(row.types), None) for name, row in TOPICS.items() if row.ce_type
}

_ID: Final[Schema] = {"pattern": f"^[0-9a-f]{{{2 * ID_BYTES}}}$"}
_SHARE: Final[Schema] = {"minimum": 0, "maximum": 1}
_MS: Final = "milliseconds since 1970, UTC"
_RFC3339: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}


def _says(description: str, **keywords: object) -> Schema:
    return {"description": description, **keywords}


# What fields mean and which values they take, per type. "Event" counts for every event.
FIELDS: Final[Mapping[str, Mapping[str, Schema]]] = {
    "Event": {
        "type": _says("names the event"),
        "id": _says("the producer's idempotency key, unique per tenant"),
        "tenant": _says("the shop; no two tenants share any state"),
        "visitor": _says(
            "pseudonymous first-party id, never an e-mail address; in UTF-8 also the record's key"
        ),
        "at_ms": _says(f"event time by the producer's clock, {_MS}"),
        "received_at_ms": _says(
            f"stands for the record's timestamp where a file is replayed, {_MS}"
        ),
        "cart": _says("the cart's name"),
        "currency": _says("ISO 4217"),
        "dwell_ms": _says("time spent on the page, milliseconds"),
        "order": _says("the order's id"),
        "total_minor": _says("the order's total in minor units of its currency"),
        "trigger_id": _says("the trigger that was acted on"),
        "channel": _says("by which way: email, or webhook/ and the endpoint's name"),
    },
    "Context": {"bot": _says("the producer knows that this is no person")},
    "Product": {
        "id": _says("identifies a cart line, together with variant"),
        "variant": _says("identifies a cart line, together with id"),
        "price_minor": _says("the price of one, in minor units of currency"),
    },
    "PageLeft": {"scroll_pct": _says("how far the page was scrolled, in percent")},
    "ProductAdded": {"quantity": _says("how many came into the cart")},
    "ProductRemoved": {"quantity": _says("how many left the cart; absent: the whole line")},
    "CartUpdated": {"lines": _says("the whole cart; an empty list empties it")},
    "CheckoutStepCompleted": {"shipping_minor": _says("the price of shipping, in minor units")},
    "MessageRefused": {"code": _says("what the next hop answered: an SMTP or HTTP status")},
    "CancelRefused": {"code": _says("what the next hop answered: an HTTP status")},
    "ConsentUpdated": {
        "valid_until_ms": _says(f"the last moment at which the grants count, {_MS}"),
        "source": _says("where the choice was made"),
        "policy": _says("the version of the text that was agreed to"),
    },
    "Trigger": {
        "trigger_id": _says("the same decision always has the same id", **_ID),
        "session": _says("id of the visit", **_ID),
        "step": _says("0 for the first message of a sequence, then 1, 2 ...", minimum=0),
        "cart": _says("the cart that it is about"),
        "products": _says("what it is about, most interesting first", maxItems=MAX_PRODUCTS),
        "order": _says("the order that it is about"),
        "evidence": _says("ids of the events that led here, newest last", maxItems=MAX_EVIDENCE),
        "reason": _says("short and machine-readable"),
        "score": _says("what the model believed when it was last asked about this visitor"),
        "due_at_ms": _says(f"when it was owed, {_MS}"),
        "expires_at_ms": _says(f"when it becomes useless, {_MS}"),
        "consent": _says(
            "status per purpose as it stood when this was decided",
            propertyNames={"enum": sorted(get_args(Purpose))},
        ),
        "experiment": _says(
            "the experiment and the arm of it that the visitor is in",
            type="object",
            properties={"name": {"type": "string"}, "arm": {"type": "string"}},
            required=["name", "arm"],
        ),
    },
    "CartSnapshot": {
        "fingerprint": _says("depends on ids, variants and quantities alone", **_ID),
        "value_minor": _says("worth of the lines in currency, in its minor units", minimum=0),
        "currency": _says("that of the newest priced line; null where no line has a price"),
        "lines": _says("what is in the cart", maxItems=MAX_LINES),
    },
    "Score": {
        "version": _says("how many examples the model had learnt", minimum=0),
        "value": _says("P(label)", **_SHARE),
    },
    "Decision": {
        "decision_id": _says("the same decision always has the same id", **_ID),
        "reason": _says("the first check that blocked, or fired", enum=[*map(str, Reason)]),
        "at_ms": _says(f"the due time, or the signal's event time, {_MS}"),
        "trigger_id": _says("the trigger that it fired", **_ID),
    },
    "TriggerCancel": {
        "trigger_id": _says("the trigger that must not be acted on any more", **_ID),
        "at_ms": _says(f"when what it rested on ended, {_MS}"),
    },
    "Example": {
        "example_id": _says("the same prediction always has the same id", **_ID),
        "features": _says("what was known when the prediction was taken"),
        "label": _says("whether the visitor bought within the horizon"),
        "predicted": _says("P(label) as predicted", **_SHARE),
        "version": _says("how many examples the predicting model had learnt", minimum=0),
        "at_ms": _says(f"when the prediction was taken, {_MS}"),
    },
}

# What holds between the fields of one type.
RULES: Final[Mapping[str, Schema]] = {
    "Decision": {
        "oneOf": [
            {
                "properties": {
                    "outcome": {"const": "fired"},
                    "reason": {"const": Reason.FIRED},
                    "trigger_id": {"type": "string"},
                },
                "required": ["trigger_id"],
            },
            {
                "properties": {
                    "outcome": {"const": "skipped"},
                    "reason": {"not": {"const": Reason.FIRED}},
                    "trigger_id": {"type": "null"},
                },
            },
        ]
    },
}


def definitions(
    types: Iterable[type[msgspec.Struct]], where: str, kinds: Kinds = REGISTRY
) -> dict[str, Schema]:
    """Return the schemas of types and of all that they hold, referring to each other ``where``."""
    _, parts = msgspec.json.schema_components(types, ref_template=f"{where}/{{name}}")
    return {name: _refined(name, part, kinds) for name, part in parts.items()}


def headers_schema(topic: str) -> Schema:
    """Return the schema of a record's headers, each read as UTF-8 text."""
    content_type = JSON if RECORDS[topic] else ANY_BYTES
    named: dict[str, Schema] = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _says("unique in its topic; repeated where a record is repeated"),
        "ce_source": _says("a URI-reference: consumer group and topic", pattern=f"/{topic}$"),
        "ce_type": {"const": TOPICS[topic].ce_type},
        "ce_time": _says("when it was owed", **_RFC3339),
        "ce_recordedtime": _says("when it was decided", **_RFC3339),
        "content-type": {"const": content_type},
    }
    if topic == DEAD_LETTERS:
        named |= _kip_1034()
    return {
        "title": f"Headers of {topic}",
        "description": "CloudEvents 1.0, binary mode; every header as UTF-8 text.",
        "type": "object",
        "properties": {name: {"type": "string", **schema} for name, schema in named.items()},
        "required": [*named],
    }


def _kip_1034() -> dict[str, Schema]:
    where = "__streams.errors"
    return {
        "ce_id": _says("topic, partition and offset of the original record", pattern="-[0-9]+$"),
        "ce_time": _says("when it was found", **_RFC3339),
        "ce_recordedtime": _says("when it was found", **_RFC3339),
        f"{where}.topic": {"enum": [*LANES]},
        f"{where}.partition": {"pattern": "^[0-9]+$"},
        f"{where}.offset": {"pattern": "^[0-9]+$"},
        f"{where}.exception": _says("the class of the error"),
        f"{where}.message": _says("the place and the rule that it breaks; nothing of the record"),
        "reason": {"enum": [*map(str, Defect)]},
    }


def _refined(name: str, schema: Schema, kinds: Kinds) -> Schema:
    known = {**(FIELDS["Event"] if name in _EVENT_NAMES else {}), **FIELDS.get(name, {})}
    properties = schema.get("properties", {})
    if name in _WITH_KIND:
        properties["kind"] |= _kind_schema(kinds)
    for field, says in known.items():
        # A field that its type does not have yet is part of the contract all the same.
        if field in properties or name not in _EVENT_NAMES:
            properties[field] = _with(properties.get(field, {}), says)
    schema["description"] = schema.get("description", "").replace("``", "")
    return schema | RULES.get(name, {})


def _with(part: Schema, says: Schema) -> Schema:
    """Return a field's schema and what is said of it; a rule stands beside the type it is for."""
    if "anyOf" not in part:
        return part | says
    rules = {keyword: value for keyword, value in says.items() if keyword != "description"}
    either = [one if one == {"type": "null"} else one | rules for one in part["anyOf"]]
    return part | {"anyOf": either, "description": says["description"]}


_EVENT_NAMES: Final = frozenset(kind.__name__ for kind in TYPE_OF)


def _kind_schema(kinds: Kinds) -> Schema:
    described = "; ".join(f"{kind.name}: {kind.description}" for kind in kinds.all)
    return _says(described, enum=sorted(kinds.of))


_WITH_KIND: Final = frozenset(one.__name__ for one in (Trigger, Decision, TriggerCancel))
