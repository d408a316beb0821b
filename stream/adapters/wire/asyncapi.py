"""The AsyncAPI 3 document of every topic, as seen by Cartwake: what it receives and what it sends.

The document needs no other file: the schemas beside it are gathered under ``components``.
"""

from typing import Any, Final

from stream.adapters.wire.contract import RECORDS, Schema, definitions, headers_schema
from stream.adapters.wire.outgoing import ANY_BYTES, JSON
from stream.config.settings import KafkaSettings, WorkerSettings
from stream.domain.topics import LANES, TOPICS, TYPE_OF, event_types, read_by, written_by

# Of the contract, not of the program: rises when a record changes.
VERSION: Final = "1.0.0"
BINDING: Final = "0.5.0"
SCHEMAS: Final = "#/components/schemas"
DAY_MS: Final = 86_400_000

SHARDED: Final = (
    f"{', '.join(LANES)} have the same number of partitions; partition n of them is shard n. "
    "Producers partition by the key as the Java client does (murmur2)."
)
# Topics whose records are part of the contract; an internal lane without types has none yet.
DESCRIBED: Final = tuple(name for name, row in TOPICS.items() if row.types or row.ce_type)
KEY_IS_VISITOR: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "pattern": "^[^@]*$",
    "description": "the visitor, in UTF-8",
}
KEYS: Final[dict[str, Schema]] = {
    "visitor": KEY_IS_VISITOR,
    "original": {"type": ["string", "null"], "description": "the original record's key bytes"},
    "model": {"type": "string", "description": "the model's name"},
}


def document() -> dict[str, Any]:
    """Return the whole document, ready for encoding as JSON."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:cartwake",
        "info": {
            "title": "Cartwake",
            "version": VERSION,
            "description": "Reads what shoppers do and allow; says when to act, and why not.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": JSON,
        "servers": {"default": {"host": KafkaSettings().bootstrap, "protocol": "kafka"}},
        "channels": {topic: _channel(topic) for topic in DESCRIBED},
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(topic: str) -> Schema:
    kafka: Schema = {"topic": topic, "bindingVersion": BINDING}
    about = TOPICS[topic].about
    if topic in LANES:
        kafka["partitions"] = KafkaSettings().partitions
    return {
        "address": topic,
        "description": f"{about} {SHARDED}" if topic in LANES else about,
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)
        },
        "bindings": {"kafka": kafka},
    }


def _operations() -> Schema:
    """Return what the workers receive, and what they and the senders of messages send."""
    received, sent = read_by("worker"), written_by("worker", "emailer", "webhooks")
    return {
        f"{action}-{topic}": _operation(action, topic)
        for action, topics in (("receive", received), ("send", sent))
        for topic in topics
        if topic in DESCRIBED
    }


def _operation(action: str, topic: str) -> Schema:
    operation: Schema = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": TOPICS[topic].about,
    }
    if action == "receive":
        group = {"type": "string", "default": WorkerSettings().group}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return operation


def _message_names(topic: str) -> list[str]:
    return [TYPE_OF[kind] for kind in event_types([topic])] or [topic]


def _messages() -> Schema:
    messages = {
        name: _message(name, JSON, KEY_IS_VISITOR, {"$ref": f"{SCHEMAS}/{kind.__name__}"})
        for kind, name in TYPE_OF.items()
    }
    for topic, kind in RECORDS.items():
        known = {"$ref": f"{SCHEMAS}/{kind.__name__}"} if kind is not None else None
        message = _message(
            topic,
            JSON if kind is not None else ANY_BYTES,
            KEYS[TOPICS[topic].key],
            known or {"description": "the original record's value bytes"},
        )
        messages[topic] = message | {"headers": headers_schema(topic)}
    return messages


def _message(name: str, content_type: str, key: Schema, payload: Schema) -> Schema:
    return {
        "name": name,
        "contentType": content_type,
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
    }


def _schemas() -> dict[str, Schema]:
    kinds = [*TYPE_OF, *(kind for kind in RECORDS.values() if kind is not None)]
    return definitions(kinds, SCHEMAS)
