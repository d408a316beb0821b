"""The AsyncAPI 3 document of every topic, seen from Cartwake: what it receives and what it sends.

The one rule: the document stands alone. Its schemas are the ones in the files beside it, gathered
under ``components``, so that any tool reads it without a second file.
"""

from typing import Any, Final

from stream.adapters.wire.contract import RECORDS, Schema, definitions, headers_schema
from stream.adapters.wire.outgoing import ANY_BYTES, DEAD_LETTERS, JSON, TRAINING_EXAMPLES
from stream.config.settings import KafkaSettings, WorkerSettings
from stream.domain.events import TOPICS, TYPE_OF
from stream.domain.feedback import FEEDBACK_TYPES, MESSAGE_FEEDBACK

# Of the contract, not of the program: rises when a record changes.
VERSION: Final = "1.0.0"
BINDING: Final = "0.5.0"
SCHEMAS: Final = "#/components/schemas"
DAY_MS: Final = 86_400_000

ABOUT: Final[dict[str, str]] = {
    "page-views": "What shoppers look at, and when they seem about to leave.",
    "cart-events": "What shoppers put into their carts and buy.",
    "consent-events": "What shoppers allow, and whom to forget.",
    "triggers": "Do this now. At least once; the same trigger_id and body each time.",
    "decisions": "Every decision, fired or skipped, with its reason.",
    "trigger-cancels": "A published trigger must not be acted on any more.",
    "dead-letters": "Records that can never be processed: original key and value, and why.",
    "message-feedback": "What became of triggers: actions on the page, messages, their cancels.",
    "training-examples": "Labelled predictions, from which Cartwake's own trainer learns.",
}
SHARDED: Final = (
    "page-views, cart-events and consent-events have the same number of partitions; partition n "
    "of the three is shard n. Producers partition by the key as the Java client does (murmur2)."
)
KEY_IS_VISITOR: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "pattern": "^[^@]*$",
    "description": "the visitor, in UTF-8",
}
KEYS: Final[dict[str, Schema]] = {
    DEAD_LETTERS: {"type": ["string", "null"], "description": "the original record's key bytes"},
    TRAINING_EXAMPLES: {"type": "string", "description": "the model's name"},
}


def document() -> dict[str, Any]:
    """Return the whole document, ready for encoding as JSON."""
    topics = [*TOPICS, *RECORDS, MESSAGE_FEEDBACK]
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
        "channels": {topic: _channel(topic) for topic in topics},
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(topic: str) -> Schema:
    kafka: Schema = {"topic": topic, "bindingVersion": BINDING}
    if topic in TOPICS:
        kafka["partitions"] = KafkaSettings().partitions
    return {
        "address": topic,
        "description": f"{ABOUT[topic]} {SHARDED}" if topic in TOPICS else ABOUT[topic],
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)
        },
        "bindings": {"kafka": kafka},
    }


def _operations() -> Schema:
    received = {f"receive-{topic}": _operation("receive", topic) for topic in TOPICS}
    sent = {f"send-{topic}": _operation("send", topic) for topic in [*RECORDS, MESSAGE_FEEDBACK]}
    learnt = {"receive-training-examples": _operation("receive", TRAINING_EXAMPLES)}
    return received | sent | learnt


def _operation(action: str, topic: str) -> Schema:
    operation: Schema = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": ABOUT[topic],
    }
    if action == "receive":
        group = {"type": "string", "default": WorkerSettings().group}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return operation


def _message_names(topic: str) -> list[str]:
    if topic in TOPICS:
        return [TYPE_OF[kind] for kind in TOPICS[topic]]
    return [*FEEDBACK_TYPES] if topic == MESSAGE_FEEDBACK else [topic]


def _messages() -> Schema:
    events = {name: kind for kind, name in TYPE_OF.items()} | FEEDBACK_TYPES
    messages = {
        name: _message(name, JSON, KEY_IS_VISITOR, {"$ref": f"{SCHEMAS}/{kind.__name__}"})
        for name, kind in events.items()
    }
    for topic, kind in RECORDS.items():
        known = {"$ref": f"{SCHEMAS}/{kind.__name__}"} if kind is not None else None
        message = _message(
            topic,
            JSON if kind is not None else ANY_BYTES,
            KEYS.get(topic, KEY_IS_VISITOR),
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
    kinds = [
        *TYPE_OF,
        *FEEDBACK_TYPES.values(),
        *(kind for kind in RECORDS.values() if kind is not None),
    ]
    return definitions(kinds, SCHEMAS)
