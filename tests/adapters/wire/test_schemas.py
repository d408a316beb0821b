import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from stream.adapters.wire.codec import Defect, encode_record
from stream.adapters.wire.contract import FIELDS, RECORDS, RULES, definitions
from stream.adapters.wire.outgoing import outgoing
from stream.adapters.wire.schemas import generate
from stream.domain.topics import (
    DEAD_LETTERS,
    LANES,
    MESSAGE_FEEDBACK,
    TOPIC_OF,
    TYPE_OF,
    event_types,
)
from stream.shard.ports import DeadLetter
from tests.adapters.wire.examples import OPTIONAL, REQUIRED, cases, fields_of, value_of, without
from tests.adapters.wire.generated import EFFECTS, EVENTS

# An internal lane has no types of events yet.
TYPED = [name for name, row in LANES.items() if row.types]
SOME = settings(deadline=None, max_examples=60)
FOLDER = Path(__file__).parents[3] / "schemas"
FILES = generate()
DOCUMENT = json.loads(FILES["asyncapi.json"])
SCHEMAS = {name: json.loads(text) for name, text in FILES.items() if name != "asyncapi.json"}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def is_valid(name, value):
    return VALIDATORS[name].is_valid(json.loads(value))


def validate(name, value):
    VALIDATORS[name].validate(json.loads(value))


def validate_headers(entry):
    schema = SCHEMAS[f"headers/{entry.topic}.json"] | {"additionalProperties": False}
    headers = {name: text.decode() for name, text in entry.headers}
    assert len(headers) == len(entry.headers)
    Draft202012Validator(schema).validate(headers)


def references(part):
    if isinstance(part, dict):
        yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolve(document, reference):
    assert reference.startswith("#/")
    for step in reference[2:].split("/"):
        document = document[step]
    return document


def test_the_files_in_the_repository_are_the_generated_ones():
    found = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*.json")}
    del found["openapi.json"]  # the edge's, which has a test of its own
    assert sorted(found) == sorted(FILES), "run: make schemas"
    for name, path in found.items():
        assert path.read_bytes() == FILES[name], f"{name}: run: make schemas"


def test_the_command_writes_them(tmp_path):
    command = [sys.executable, "-m", "stream.adapters.wire.schemas", str(tmp_path / "new")]
    subprocess.run(command, check=True, cwd=FOLDER.parent)
    written = {str(p.relative_to(tmp_path / "new")) for p in tmp_path.rglob("*.json")}
    assert written == set(FILES)


def test_there_is_a_schema_for_every_type_and_topic():
    expected = {f"events/{name}.json" for name in TYPE_OF.values()}
    expected |= {f"topics/{topic}.json" for topic in TYPED}
    expected |= {f"headers/{topic}.json" for topic in RECORDS}
    expected |= {f"records/{topic}.json" for topic in RECORDS if topic != DEAD_LETTERS}
    assert set(SCHEMAS) == expected


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_says_what_it_is(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    assert schema["description"]
    for reference in references(schema):
        resolve(schema, reference)


def test_no_two_schemas_have_the_same_id():
    assert len({schema["$id"] for schema in SCHEMAS.values()}) == len(SCHEMAS)


def test_what_is_said_of_fields_is_said_of_fields_that_exist():
    events = [*TYPE_OF]
    known = definitions([*events, *filter(None, RECORDS.values())], "#")
    in_events = {field for kind in events for field in known[kind.__name__]["properties"]}
    assert set(FIELDS["Event"]) <= in_events
    assert (set(FIELDS) | set(RULES)) - {"Event"} <= set(known)
    for name, fields in FIELDS.items():
        if name != "Event":
            assert set(fields) <= set(known[name]["properties"])


@SOME
@given(EVENTS)
def test_generated_events_are_valid(event):
    validate(f"topics/{TOPIC_OF[type(event)]}.json", encode_record(event))
    validate(f"events/{TYPE_OF[type(event)]}.json", encode_record(event))


@pytest.mark.parametrize(("name", "changes"), cases(within=True))
def test_what_the_decoder_accepts_is_valid(name, changes):
    validate(f"events/{name}.json", value_of(name, **changes))


@pytest.mark.parametrize(("name", "changes"), cases(within=False))
def test_what_the_decoder_rejects_is_invalid(name, changes):
    assert not is_valid(f"events/{name}.json", value_of(name, **changes))


@pytest.mark.parametrize("name", REQUIRED)
def test_required_fields_are_required_and_optional_ones_may_be_null(name):
    for field in fields_of(name):
        assert not is_valid(f"events/{name}.json", without(name, field))
    validate(f"events/{name}.json", value_of(name, **dict.fromkeys(OPTIONAL[name])))


@pytest.mark.parametrize("name", REQUIRED)
def test_fields_of_newer_producers_are_valid(name):
    validate(f"events/{name}.json", value_of(name, wishlist=[1.5], schema={"a": None}))


@pytest.mark.parametrize("topic", TYPED)
def test_a_topic_takes_its_own_types_alone(topic):
    for kind in event_types(LANES):
        name = TYPE_OF[kind]
        assert is_valid(f"topics/{topic}.json", value_of(name)) == (TOPIC_OF[kind] == topic)


def test_an_email_address_is_no_visitor():
    assert not is_valid("events/page_viewed.json", value_of(visitor="jo@shop.example"))


@SOME
@given(EFFECTS, st.integers(-(2**62), 2**62))
def test_what_is_published_is_valid_and_has_no_field_unknown_to_its_schema(effect, recorded_ms):
    entry = outgoing(effect, recorded_ms, "/cartwake/cartwake")
    name = f"records/{entry.topic}.json"
    validate(name, entry.value)
    assert set(json.loads(entry.value)) <= set(SCHEMAS[name]["properties"])
    validate_headers(entry)


@pytest.mark.parametrize("reason", Defect)
def test_the_headers_of_dead_letters_are_valid(reason):
    dead = DeadLetter("page-views", 3, 10**12, None, b"\xff", reason, "$.url: Expected `str`")
    validate_headers(outgoing(dead, 0, "/cartwake/cartwake"))


@SOME
@given(EFFECTS, st.data())
def test_a_record_without_one_of_its_fields_is_invalid(effect, data):
    entry = outgoing(effect, 0, "/cartwake/cartwake")
    name = f"records/{entry.topic}.json"
    record = json.loads(entry.value)
    del record[data.draw(st.sampled_from(sorted(SCHEMAS[name]["required"])))]
    assert not VALIDATORS[name].is_valid(record)


def a_trigger(**changes):
    trigger = {
        "trigger_id": "0" * 32,
        "kind": "exit_intent",
        "class": "onsite",
        "tenant": "default",
        "visitor": "v1",
        "session": "1" * 32,
        "step": 0,
        "cart": {"fingerprint": "2" * 32, "value_minor": 0, "currency": None, "lines": []},
        "evidence": ["e1"],
        "reason": "idle",
        "due_at_ms": 1,
        "expires_at_ms": 2,
        "consent": {"personalization": "granted"},
    }
    return json.dumps(trigger | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"experiment": {"name": "subject-line", "arm": "b"}},
        {"score": {"model": "m", "version": 0, "value": 1}},
        {"evidence": ["e"] * 20},
    ],
)
def test_a_trigger_may_say_all_that_the_contract_knows(changes):
    validate("records/triggers.json", a_trigger(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger_id": "7"},
        {"kind": "birthday"},
        {"class": "spam"},
        {"step": -1},
        {"evidence": ["e"] * 21},
        {"score": {"model": "m", "version": 0, "value": 1.1}},
        {"consent": {"telepathy": "granted"}},
        {"consent": {"ads": "perhaps"}},
        {"experiment": {"name": "subject-line"}},
        {"cart": {}},
    ],
)
def test_a_trigger_beyond_the_contract_is_invalid(changes):
    assert not is_valid("records/triggers.json", a_trigger(**changes))


DECISION = {
    "decision_id": "0" * 32,
    "kind": "exit_intent",
    "tenant": "default",
    "visitor": "v1",
    "at_ms": 1,
}


@pytest.mark.parametrize(
    ("rest", "valid"),
    [
        ({"outcome": "fired", "reason": "fired", "trigger_id": "1" * 32}, True),
        ({"outcome": "skipped", "reason": "holdout"}, True),
        ({"outcome": "fired", "reason": "fired"}, False),
        ({"outcome": "fired", "reason": "holdout", "trigger_id": "1" * 32}, False),
        ({"outcome": "skipped", "reason": "fired"}, False),
        ({"outcome": "skipped", "reason": "holdout", "trigger_id": "1" * 32}, False),
        ({"outcome": "skipped", "reason": "because"}, False),
    ],
)
def test_a_decision_names_its_trigger_exactly_if_it_fired(rest, valid):
    assert is_valid("records/decisions.json", json.dumps(DECISION | rest)) == valid


# What ajv's strict mode asks beyond the specification: https://ajv.js.org/strict-mode.html
KEYWORDS_OF_TYPE = {
    "array": ("maxItems", "minItems", "items", "uniqueItems"),
    "object": ("properties", "required", "propertyNames", "additionalProperties"),
    "number": ("minimum", "maximum", "multipleOf"),
    "integer": ("minimum", "maximum", "multipleOf"),
    "string": ("pattern", "minLength", "maxLength"),
}


def parts_of(schema, types):
    """Yield the schemas inside one, each with its place and the types that are known for it."""
    for keyword in ("anyOf", "oneOf", "allOf"):
        for number, part in enumerate(schema.get(keyword, ())):
            yield part, types, f".{keyword}[{number}]"
    yield schema.get("not"), types, ".not"
    yield schema.get("items"), set(), "[]"
    yield schema.get("additionalProperties"), set(), ".*"
    for name, part in (schema.get("properties", {}) | schema.get("$defs", {})).items():
        yield part, set(), f".{name}"


def loose_ends(schema, types=frozenset(), at="$"):
    """Yield what the strict mode refuses; ``types`` are those that the schemas around allow."""
    own = schema.get("type", types)
    own = {own} if isinstance(own, str) else set(own)
    typed = {keyword for keywords in KEYWORDS_OF_TYPE.values() for keyword in keywords}
    allowed = {keyword for one in own for keyword in KEYWORDS_OF_TYPE.get(one, ())}
    yield from (f"{at}: {one} without its type" for one in (schema.keys() & typed) - allowed)
    missing = set(schema.get("required", ())) - schema.get("properties", {}).keys()
    yield from (f"{at}: {one} is required and not defined" for one in missing)
    for part, known, place in parts_of(schema, own):
        if isinstance(part, dict):
            yield from loose_ends(part, known, at + place)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_strict_validator_takes_the_schema(name):
    assert list(loose_ends(SCHEMAS[name])) == []


def test_a_strict_validator_takes_the_schemas_of_the_asyncapi_document():
    assert list(loose_ends({"$defs": DOCUMENT["components"]["schemas"]})) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"anyOf": [{"type": "array"}, {"type": "null"}], "maxItems": 1}, "$: maxItems"),
        ({"type": "object", "not": {"required": ["a"]}}, "$.not: a is required"),
        ({"type": "object", "properties": {"a": {"minimum": 0}}}, "$.a: minimum"),
    ],
)
def test_what_strict_mode_refuses_is_found(schema, problem):
    assert [one.startswith(problem) for one in loose_ends(schema)] == [True]


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        assert resolve(DOCUMENT, reference)


def test_the_asyncapi_document_holds_every_topic_from_cartwakes_view():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    channels = DOCUMENT["channels"]
    assert {channel["address"] for channel in channels.values()} == {*TYPED, *RECORDS}
    directions = {
        (operation["action"], resolve(DOCUMENT, operation["channel"]["$ref"])["address"])
        for operation in DOCUMENT["operations"].values()
    }
    expected = {("receive", topic) for topic in [*TYPED, "training-examples"]}
    assert directions == expected | {("send", topic) for topic in [*RECORDS, MESSAGE_FEEDBACK]}


def test_the_messages_of_the_asyncapi_document_have_keys_and_outgoing_ones_headers():
    for topic, channel in DOCUMENT["channels"].items():
        for reference in references(channel["messages"]):
            message = resolve(DOCUMENT, reference)
            assert message["bindings"]["kafka"]["key"]
            assert ("headers" in message) == (topic in RECORDS)
    inputs = [DOCUMENT["channels"][topic]["bindings"]["kafka"]["partitions"] for topic in TYPED]
    assert len(set(inputs)) == 1


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_the_schemas_of_the_asyncapi_document_are_of_the_draft_that_asyncapi_knows(name):
    Draft7Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@SOME
@given(EVENTS)
def test_generated_events_are_valid_by_the_asyncapi_document(event):
    message = DOCUMENT["components"]["messages"][TYPE_OF[type(event)]]
    schema = {**message["payload"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(json.loads(encode_record(event)))
