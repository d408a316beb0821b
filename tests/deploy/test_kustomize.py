"""The manifests by Kubernetes' own tools: put together by Kustomize, judged by kubeconform.

The one rule: where a tool is missing the test says so and is skipped; what can be known without
stands in test_kubernetes.py.
"""

import os
import shutil
import subprocess

import pytest
import yaml

from stream import __version__
from tests.deploy.manifests import FOLDER, container, documents

GENERATORS = """
  - name: cartwake-ca
    files: [kafka-ca.crt]
secretGenerator:
  - name: cartwake-autoscaler
    files: [username=kafka-ca.crt, password=kafka-ca.crt]
"""


def kustomized(folder):
    """Return what Kustomize makes of a folder; loudly skipped without it."""
    kustomize, kubectl = shutil.which("kustomize"), shutil.which("kubectl")
    if not kustomize and not kubectl:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [kustomize, "build"] if kustomize else [kubectl, "kustomize"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


WEBHOOKS = "  - ../../components/webhooks\n"


@pytest.fixture
def overlay(tmp_path):
    """Return a copy of the overlay for production, which has all parts of it."""
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / "overlays" / "production"
    file = folder / "kustomization.yaml"
    file.write_text(file.read_text().replace("components:\n", f"components:\n{WEBHOOKS}"))
    return folder


@pytest.fixture(params=["base", "topics", "overlays/production", "everything"])
def built(request):
    """Return what Kustomize makes of a part."""
    if request.param == "everything":
        return kustomized(request.getfixturevalue("overlay"))
    return kustomized(FOLDER / request.param)


def test_webhooks_are_there_where_a_shop_adds_them(overlay):
    for folder, is_there in ((overlay, True), (FOLDER / "overlays" / "production", False)):
        found = yaml.safe_load_all(kustomized(folder))
        names = {(it["kind"], it["metadata"]["name"]) for it in found}
        assert (("Deployment", "cartwake-webhooks") in names) == is_there
        assert (("NetworkPolicy", "cartwake-endpoints") in names) == is_there


def test_kustomize_puts_everything_together(built):
    names = {(it["kind"], it["metadata"]["name"]) for it in yaml.safe_load_all(built)}
    for kind, name in names:
        assert name == "cartwake" or name.startswith("cartwake-") or kind == "KafkaTopic"
    if ("Namespace", "cartwake") in names:
        expected = {it["kind"] for it in documents(FOLDER)} - {"KafkaTopic"}
        assert {kind for kind, _ in names} == expected | {"ConfigMap"}
        found = [it for it in yaml.safe_load_all(built) if it["kind"] == "Deployment"]
        assert {container(it)["image"] for it in found} == {
            f"registry.example/cartwake:{__version__}"
        }
        (worker,) = [it for it in found if it["metadata"]["name"] == "cartwake-worker"]
        assert "replicas" not in worker["spec"]


def test_what_kustomize_gives_another_name_is_found_by_keda_too(overlay):
    (overlay / "kafka-ca.crt").write_text("hush")
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write(GENERATORS.lstrip("\n"))
    found = list(yaml.safe_load_all(kustomized(overlay)))
    (login,) = [it for it in found if it["kind"] == "TriggerAuthentication"]
    names = {it["metadata"]["name"] for it in found if it["kind"] in {"Secret", "ConfigMap"}}
    asked = [*login["spec"]["secretTargetRef"], *login["spec"]["configMapTargetRef"]]
    assert {it["name"] for it in asked} <= names


def test_every_field_is_one_that_kubernetes_and_its_operators_know(built):
    kubeconform, schemas = shutil.which("kubeconform"), os.environ.get("KUBERNETES_SCHEMAS")
    if not kubeconform or not schemas:
        pytest.skip(
            "kubeconform is not installed, or KUBERNETES_SCHEMAS names no folder of schemas"
        )
    operators = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}"
    places = ("{{.ResourceKind}}{{.KindSuffix}}", operators)
    locations = [it for place in places for it in ("-schema-location", f"{schemas}/{place}.json")]
    done = subprocess.run(
        [kubeconform, "-strict", "-summary", *locations],
        input=built, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout
