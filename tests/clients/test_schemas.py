"""What other projects' tools say of the schemas and of the documents on Kafka and HTTP."""

import json
import shutil

import pytest

from tests.clients.installed import HERE
from tests.clients.programs import finished
from tests.rig.processes import REPOSITORY

SCHEMAS = REPOSITORY / "schemas"


@pytest.fixture
def judged(node_clients, tmp_path):
    """Return what the tools say of a folder of documents, by its files."""

    def judge(folder):
        program = shutil.copy(HERE / "schemas.mjs", tmp_path)
        (tmp_path / "node_modules").symlink_to(node_clients)
        return json.loads(finished(["node", program, str(folder)]))

    return judge


def test_every_document_is_what_other_tools_expect(judged, state):
    said = judged(SCHEMAS)
    files = {str(file.relative_to(SCHEMAS)) for file in SCHEMAS.rglob("*.json")}
    assert said.keys() == files
    assert {name: errors for name, errors in said.items() if errors} == {}
    schemas = ["schemas/**/*.json"]
    state("Ajv", "ajv", arrived=schemas, does="Compiles every schema in its strict mode.")
    documents = ["schemas/asyncapi.json"]
    state("AsyncAPI", "@asyncapi/parser", arrived=documents, does="Parses it without a warning.")
    documents = ["schemas/openapi.json"]
    state("OpenAPI", "@readme/openapi-parser", arrived=documents, does="Finds no error in it.")


def test_what_the_tools_do_not_expect_is_found(judged, tmp_path):
    folder = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, folder, ignore=lambda _, names: set(names) & {"events", "headers"})
    broken = {
        "records/triggers.json": {"unheard-of": 1},
        "openapi.json": {"info": {}},
        "asyncapi.json": {"channels": {"events": {"address": 7}}},
    }
    for name, change in broken.items():
        document = json.loads((folder / name).read_text()) | change
        (folder / name).write_text(json.dumps(document))
    said = judged(folder)
    assert {name for name, errors in said.items() if errors} == broken.keys()
