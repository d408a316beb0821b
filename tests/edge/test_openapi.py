"""The document describes the edge: what is generated from it is answered as it says."""

from base64 import b64encode
from pathlib import Path

import msgspec
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.responses import JSONResponse
from starlette.routing import Route

from stream.config.settings import EdgeSettings
from stream.edge.openapi import document
from tests.edge.shop import EDGE, SERVER, SIGNING, Shop

FILE = Path(__file__).parents[2] / "schemas" / "openapi.json"
OFTEN = 1_000_000
# Not whether all that fits the document is taken: an event has rules that no schema says.
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
LOGIN = {"Authorization": "Basic " + b64encode(f"{SERVER}:".encode()).decode()}


def described():
    edge = EdgeSettings(
        keys=EDGE.keys,
        signing_keys=SIGNING,
        hooks=EDGE.hooks,
        requests_per_s_per_address=OFTEN,
        requests_per_s_per_key=OFTEN,
        records_per_s_per_address=OFTEN,
        records_per_s_per_visitor=OFTEN,
        records_per_s_per_key=OFTEN,
    )
    app = Shop(edge).app
    app.routes.append(Route("/openapi.json", lambda _: JSONResponse(document())))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


API = described()


def test_the_file_in_the_repository_is_the_generated_one():
    text = msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"
    assert FILE.read_bytes() == text, "write it anew: make schemas"


def test_the_document_names_each_route_and_no_other():
    routes = {
        (route.path, method.lower())
        for route in Shop().app.routes
        for method in route.methods - {"HEAD"}  # of each GET
    }
    named = {
        (path, method) for path, operations in document()["paths"].items() for method in operations
    }
    assert named == routes


@API.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_strangers_are_answered_as_the_document_says(case):
    case.call_and_validate(checks=CHECKS)


@API.include(path_regex="^/v1/(events|track|page|identify|batch)").parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_servers_are_answered_as_the_document_says(case):
    case.call_and_validate(headers=LOGIN, checks=CHECKS)
