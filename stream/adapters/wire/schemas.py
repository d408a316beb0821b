"""Generates ``schemas/``: a JSON Schema for every record in and out, and the AsyncAPI document.

``python -m stream.adapters.wire.schemas DIR`` writes them into a folder.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec

from stream.adapters.wire.asyncapi import document
from stream.adapters.wire.contract import RECORDS, Schema, definitions, headers_schema
from stream.domain.events import Event
from stream.domain.topics import TOPIC_OF, TYPE_OF, event_types

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def generate() -> dict[str, bytes]:
    """Return the content of every generated file by its path inside ``schemas/``."""
    files = {f"events/{name}.json": _of_type(kind) for kind, name in TYPE_OF.items()}
    for topic in dict.fromkeys(TOPIC_OF.values()):
        files[f"topics/{topic}.json"] = _of_topic(topic, event_types([topic]))
    for topic, kind in RECORDS.items():
        if kind is not None:
            files[f"records/{topic}.json"] = _of_type(kind)
        files[f"headers/{topic}.json"] = headers_schema(topic)
    texts = {path: _text(_named(path, schema)) for path, schema in files.items()}
    return texts | {"asyncapi.json": _text(document())}


def write(folder: Path) -> None:
    """Write every generated file into a folder."""
    for name, content in generate().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _of_type(kind: type[msgspec.Struct]) -> Schema:
    parts = definitions([kind], "#/$defs")
    schema = parts.pop(kind.__name__)
    return schema | ({"$defs": parts} if parts else {})


def _of_topic(topic: str, kinds: tuple[type[Event], ...]) -> Schema:
    return {
        "title": f"Records of {topic}",
        "description": "Told apart by type; fields that no type names are ignored.",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds],
        "$defs": definitions(kinds, "#/$defs"),
    }


def _named(path: str, schema: Schema) -> Schema:
    name = path.removesuffix(".json").replace("/", ":")
    return {"$schema": DIALECT, "$id": f"urn:cartwake:schema:{name}:v1", **schema}


def _text(schema: Schema) -> bytes:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
