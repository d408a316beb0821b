"""The OpenAPI 3.1 document of the edge.

The types that decode the events also describe them, as in the other schemas. The document needs no
other file. ``python -m stream.edge.openapi DIR`` writes it into a folder.
"""

import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from stream.adapters.wire.asyncapi import VERSION
from stream.adapters.wire.contract import Schema, definitions
from stream.config.edge import HOOKS
from stream.config.settings import EdgeSettings
from stream.edge.collector.prepare import EDGE_TYPES
from stream.edge.collector.routes import BATCHES, CALLS, SHORT_CALLS, TRACKER
from stream.edge.visitors import COOKIE

SCHEMAS: Final = "#/components/schemas"
JSON: Final = "application/json"
REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "Malformed: the body, or all of its events.",
    HTTPStatus.UNAUTHORIZED: "No key, or a wrong one.",
    HTTPStatus.FORBIDDEN: "The key may not do this from here.",
    HTTPStatus.NOT_FOUND: "No such vendor; the answer names those there are.",
    HTTPStatus.NOT_IMPLEMENTED: "A vendor's request that is not carried out by itself; the answer "
    "says what to do.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A body over 500 KB, or an event over 32 KB.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often; see Retry-After.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Kafka does not acknowledge; see Retry-After.",
}
HOOK_ALONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED)
TAKES: Final = tuple(one for one in REFUSALS if one not in HOOK_ALONE)
GIVES: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
COUNTED: Final = (HTTPStatus.TOO_MANY_REQUESTS,)
LINK_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def document() -> dict[str, Any]:
    """Return the whole document, ready for encoding as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartwake edge",
            "version": VERSION,
            "description": "Takes events over HTTP, and brings on-site triggers to the page.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"http://{EdgeSettings().listen}"}],
        "paths": _collector() | _gateway() | _message_links() | _pages(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "basic", "description": "the key as the user"},
                "pageKey": {"type": "apiKey", "in": "query", "name": "writeKey"},
            },
        },
    }


def _collector() -> Schema:
    events = {"type": "array", "items": {"$ref": f"{SCHEMAS}/Event"}}
    call = {"$ref": f"{SCHEMAS}/Call"}
    paths = {"/v1/events": _takes("Canonical events, as an array or as JSON Lines.", events)}
    paths |= {f"/v1/{name}": _takes(f"Segment's {name} call.", call) for name in CALLS}
    batch = {
        "type": "object",
        "required": ["batch"],
        "properties": {"batch": {"type": "array", "items": call}},
    }
    hook = _takes(
        "What a vendor's server sends, signed by it or with a server key.", {}, tuple(REFUSALS)
    )
    hook["post"]["security"] = [{}, {"key": []}]  # signed, or with a server key
    names: Schema = {"type": "string", "enum": [*HOOKS]}
    vendor = {"name": "vendor", "in": "path", "required": True, "schema": names}
    hook["post"]["parameters"] = [vendor]
    paths |= {
        f"/v1/{short}": _takes(f"The {name} call of analytics.js.", call)
        for short, name in SHORT_CALLS.items()
    }
    paths |= {path: _takes("Segment's calls.", batch) for path in BATCHES}
    payloads = {"type": "object", "required": ["data"], "properties": {"data": {"type": "array"}}}
    paths[TRACKER] = _takes("Events of Snowplow's trackers.", payloads)
    paths["/i"] = _image()
    paths["/v1/m"] = {
        "post": {
            "summary": "What analytics.js measures of itself; it is ignored.",
            "responses": _responses({"$ref": f"{SCHEMAS}/Taken"}, COUNTED),
        }
    }
    paths["/v1/hooks/{vendor}"] = hook
    for path in ("/v1/events", "/v1/hooks/{vendor}"):
        paths[path] |= {"options": _handshake(hook["post"]["parameters"] if "{" in path else [])}
    return paths


def _image() -> Schema:
    """Describe the request of Snowplow's trackers that send by ``GET``."""
    texts = {
        "aid": "the application's id: a browser key, unless the page's origin has one",
        "e": "the kind of event, such as pv",
        "eid": "the event's id",
        "duid": "the visitor",
    }
    named = [
        {"name": name, "in": "query", "description": means, "schema": {"type": "string"}}
        for name, means in texts.items()
    ]
    return {
        "get": {
            "summary": "One event of Snowplow's trackers, by their tracker protocol.",
            "parameters": named,
            "responses": _responses({"$ref": f"{SCHEMAS}/Taken"}, TAKES),
        }
    }


def _handshake(parameters: list[Schema]) -> Schema:
    origin = {"name": "WebHook-Request-Origin", "in": "header", "schema": {"type": "string"}}
    return {
        "summary": "The handshake of CloudEvents' webhooks: who may send, and how often.",
        "parameters": [*parameters, origin],
        "responses": _responses({}, COUNTED) | {"200": {"description": "See the headers."}},
    }


def _pages() -> Schema:
    def page(summary: str, media: str, *others: tuple[HTTPStatus, str]) -> Schema:
        content = {media: {"schema": {"type": "string"}}}
        responses: Schema = {"200": {"description": "Done.", "content": content}}
        for status, means in others:
            responses[str(int(status))] = {"description": means, "content": content}
        return {"get": {"summary": summary, "responses": responses}}

    script = page("The script for the shop's pages.", "text/javascript")
    script["get"]["responses"]["304"] = {"description": "Not changed since the ETag sent."}
    down = (HTTPStatus.SERVICE_UNAVAILABLE, "Kafka does not answer.")
    return {
        "/cartwake.js": script,
        "/healthz": page("The process answers.", "text/plain"),
        "/readyz": page("Kafka acknowledges.", "text/plain", down),
    }


def _gateway() -> Schema:
    text: Schema = {"type": "string"}
    visitor = {"name": "visitor", "in": "query", "schema": text}
    cookie = {"name": COOKIE, "in": "cookie", "schema": text}
    poll = {"name": "poll", "in": "query", "required": True, "schema": {"const": "1"}}
    signed: Schema = {"type": "object", "required": ["visitor", "signed"]}
    signed["properties"] = {"visitor": text, "signed": text}
    ticketed: Schema = {"type": "object", "required": ["visitor", "signed", "ticket"]}
    ticketed["properties"] = {**signed["properties"], "ticket": text}
    named = {"type": "object", "properties": {"visitor": text}}
    ticket = {"name": "ticket", "in": "query", "schema": text}
    actions = {"type": "object", "required": ["actions", "cancelled"]}
    return {
        "/v1/visitor": _gives("A visitor id, new or renewed.", [visitor, cookie], signed)
        | {
            "post": {
                "summary": "Likewise, with the id in the body, and a ticket for its actions.",
                "parameters": [cookie],
                "requestBody": {"required": True, "content": {JSON: {"schema": named}}},
                "responses": _responses(ticketed, TAKES),
            }
        },
        "/v1/actions": _gives(
            "What is pending for a visitor; without poll, a stream of Server-Sent Events.",
            [ticket, visitor, cookie, poll],
            actions,
        ),
    }


def _message_links() -> Schema:
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    page = {"text/html": {"schema": {"type": "string"}}}
    refused = (*LINK_REFUSALS, HTTPStatus.SERVICE_UNAVAILABLE)
    paths: Schema = {
        "/v1/unsubscribe/{token}": {
            "get": {"summary": "A page with a button that unsubscribes.", "parameters": [token]},
            "post": {"summary": "No more of these mails (RFC 8058).", "parameters": [token]},
        },
        "/v1/click/{token}": {
            "get": {"summary": "On to the shop's cart page.", "parameters": [token]}
        },
        "/v1/carts/{token}": {
            "get": {"summary": "What was in a mail's cart.", "parameters": [token]}
        },
    }
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"] = _responses({"type": "object"}, refused)
    for operation in paths["/v1/unsubscribe/{token}"].values():
        operation["responses"]["200"]["content"] = page
    clicked = paths["/v1/click/{token}"]["get"]["responses"]
    del clicked["200"]
    clicked["303"] = {"description": "See the shop's page."}
    return paths


def _takes(summary: str, body: Schema, refusals: tuple[HTTPStatus, ...] = TAKES) -> Schema:
    taken = {"$ref": f"{SCHEMAS}/Taken"}
    return {
        "post": {
            "summary": summary,
            "security": [{"key": []}, {"pageKey": []}],
            "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
            "responses": _responses(taken, refusals),
        }
    }


def _gives(summary: str, parameters: list[Schema], answer: Schema) -> Schema:
    responses = _responses(answer, GIVES)
    return {"get": {"summary": summary, "parameters": parameters, "responses": responses}}


def _responses(answer: Schema, refusals: tuple[HTTPStatus, ...]) -> Schema:
    refused = {"anyOf": [{"$ref": f"{SCHEMAS}/Refused"}, {"$ref": f"{SCHEMAS}/Taken"}]}
    return {
        "200": {"description": "Done.", "content": {JSON: {"schema": answer}}},
        **{
            str(int(status)): {
                "description": REFUSALS[status],
                "content": {JSON: {"schema": refused}},
            }
            for status in refusals
        },
    }


def _schemas() -> Schema:
    kinds = [*EDGE_TYPES.values()]
    count: Schema = {"type": "integer", "minimum": 0}
    reason = {"index": count, "reason": {"type": "string"}, "detail": {"type": "string"}}
    taken: Schema = {"accepted": count, "ignored": count}
    named = {"index": count, "names": {"type": "array", "items": {"type": "string"}}}
    taken["unmapped"] = {
        "type": "array",
        "description": "vendors' events without a counterpart; absent if there are none",
        "items": {"type": "object", "required": [*named], "properties": named},
    }
    taken["refused"] = {
        "type": "array",
        "items": {"type": "object", "required": ["index", "reason"], "properties": reason},
    }
    said = {"error": {"type": "string"}, "detail": {"type": "string"}}
    call = {"anonymousId": {"type": "string"}, "event": {"type": "string"}}
    return definitions(kinds, SCHEMAS) | {
        "Event": {"oneOf": [{"$ref": f"{SCHEMAS}/{kind.__name__}"} for kind in kinds]},
        "Call": {"type": "object", "properties": call | {"properties": {"type": "object"}}},
        "Taken": {
            "type": "object",
            "required": ["accepted", "ignored", "refused"],
            "properties": taken,
        },
        "Refused": {"type": "object", "required": [*said], "properties": said},
    }


if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"
    Path(sys.argv[1], "openapi.json").write_bytes(text)
