"""The manifests of Kubernetes: they fit together, and they fit the code that they run."""

import json
from ipaddress import ip_address, ip_network

import pytest
import yaml

from stream import __version__
from stream.admin import topics
from stream.cli import parser
from stream.config.loading import PREFIX, load
from stream.config.settings import KNOWN, KafkaSettings, Settings, WorkerSettings
from stream.delivery import process as delivery
from stream.domain.topics import LANES, TOPICS
from stream.edge import serve as edge
from stream.emailer import serve as emailer
from tests.deploy.manifests import (
    FOLDER,
    container,
    mounted,
    of_kind,
    pod,
    secrets,
    selects,
    variables,
)
from tests.faults.rows.row_05_graceful_deploy import EXIT_WITHIN_S

DEPLOYMENTS = of_kind("Deployment")
POLICIES = of_kind("NetworkPolicy")
PARTS = sorted(FOLDER.rglob("kustomization.yaml"))
KEY = [{"key": "k", "kind": "server"}]
ENDPOINTS = [{"name": "crm", "url": "https://crm.example/hook", "secrets": ["whsec_c2VjcmV0"]}]
SECRETS = {
    ("cartwake-edge", "keys"): json.dumps(KEY),
    ("cartwake-edge", "hooks"): "[]",
    ("cartwake-signing", "keys"): '["secret"]',
    ("cartwake-webhooks", "endpoints"): json.dumps(ENDPOINTS),
}
each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


def labels(name):
    return DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]


def settings(name, folder):
    """Return the settings of a container, with a file of the test for each that is mounted."""
    environ, files = variables(DEPLOYMENTS[name], SECRETS), mounted(DEPLOYMENTS[name])
    for variable, value in environ.items():
        if variable.endswith(("_FILE", "_CAFILE")):
            assert value in files, f"{variable} names a file that is not mounted"
            (folder / "secret").write_text("hush\n")
            environ[variable] = str(folder / "secret")
    return load(None, environ)


# They fit together


@pytest.mark.parametrize("part", PARTS, ids=lambda it: str(it.parent.relative_to(FOLDER)))
def test_every_file_belongs_to_a_part_that_names_it(part):
    told = yaml.safe_load(part.read_text())
    named = [*told["resources"], *told.get("configurations", ())]
    files = {name for name in named if name.endswith(".yaml")}
    assert files == {it.name for it in part.parent.glob("*.yaml")} - {part.name}
    for folder in [*told["resources"], *told.get("components", ())]:
        if not folder.endswith(".yaml"):
            assert (part.parent / folder / part.name).exists()


@each_deployment
def test_a_deployment_finds_its_own_pods(name):
    deployment = DEPLOYMENTS[name]
    assert selects(deployment["spec"]["selector"], labels(name))
    others = [other for other in DEPLOYMENTS if other != name]
    assert not any(selects(deployment["spec"]["selector"], labels(other)) for other in others)
    for spread in pod(deployment)["topologySpreadConstraints"]:
        assert selects(spread["labelSelector"], labels(name))


@each_deployment
def test_a_deployment_has_a_budget_and_an_account_without_a_token(name):
    budgets = of_kind("PodDisruptionBudget").values()
    (budget,) = [it for it in budgets if selects(it["spec"]["selector"], labels(name))]
    assert budget["spec"]["maxUnavailable"] == 1
    account = of_kind("ServiceAccount")[pod(DEPLOYMENTS[name])["serviceAccountName"]]
    assert account["automountServiceAccountToken"] is False
    assert pod(DEPLOYMENTS[name])["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", of_kind("Service").values(), ids=of_kind("Service"))
def test_a_service_leads_to_ports_that_its_pods_have(service):
    found = [
        DEPLOYMENTS[name]
        for name in DEPLOYMENTS
        if selects({"matchLabels": service["spec"]["selector"]}, labels(name))
    ]
    assert found
    for deployment in found:
        ports = {port["name"] for port in container(deployment)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


# They are as safe as they can be


@each_deployment
def test_a_container_has_no_right_that_it_does_not_need(name):
    whole, one = pod(DEPLOYMENTS[name])["securityContext"], container(DEPLOYMENTS[name])
    assert whole["runAsNonRoot"]
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(one["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in one["resources"]["limits"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cartwake-worker", {"cartwake-worker"}),
        ("cartwake-edge", {"cartwake-edge", "cartwake-signing"}),
        ("cartwake-emailer", {"cartwake-emailer", "cartwake-signing"}),
        ("cartwake-webhooks", {"cartwake-webhooks"}),
    ],
)
def test_a_process_is_given_its_own_secrets_and_nobody_elses(name, given):
    assert secrets(DEPLOYMENTS[name]) == given


def test_no_secret_is_in_the_repository():
    assert of_kind("Secret") == {}
    assert not any("secretGenerator" in yaml.safe_load(part.read_text()) for part in PARTS)


@each_deployment
def test_nothing_goes_in_or_out_of_a_pod_but_what_is_named(name):
    deny = POLICIES["cartwake-nothing"]["spec"]
    assert selects(deny["podSelector"], labels(name))
    assert deny.keys() == {"podSelector", "policyTypes"}
    assert set(deny["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("cartwake-names", {"worker", "edge", "emailer", "webhooks"}),
        ("cartwake-metrics", {"worker", "edge", "emailer", "webhooks"}),
        ("cartwake-kafka", {"worker", "edge", "emailer", "webhooks"}),
        ("cartwake-redis", {"worker", "edge", "emailer", "webhooks"}),
        ("cartwake-mail", {"emailer"}),
        ("cartwake-endpoints", {"webhooks"}),
        ("cartwake-shoppers", {"edge"}),
    ],
)
def test_a_way_is_open_to_those_who_need_it(policy, names):
    selector = POLICIES[policy]["spec"]["podSelector"]
    assert {name for name in DEPLOYMENTS if selects(selector, labels(name))} == {
        f"cartwake-{name}" for name in names
    }


@pytest.mark.parametrize(
    ("host", "is_reached"),
    [
        ("93.184.216.34", True),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
    ],
)
def test_webhooks_reach_the_open_internet_alone_and_by_https(host, is_reached):
    (rule,) = POLICIES["cartwake-endpoints"]["spec"]["egress"]
    (block,) = [it["ipBlock"] for it in rule["to"]]
    without = [ip_network(it) for it in block["except"]]
    assert (not any(ip_address(host) in it for it in without)) == is_reached
    assert ip_address(host) in ip_network(block["cidr"])
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]


# They fit the code


@each_deployment
def test_cartwake_understands_its_command_and_its_settings(name, tmp_path):
    for variable in variables(DEPLOYMENTS[name], SECRETS):
        if variable.startswith(PREFIX):
            assert variable.removeprefix(PREFIX).replace("__", ".", 1).lower() in KNOWN
    assert parser().parse_args(container(DEPLOYMENTS[name])["args"]).call
    found = settings(name, tmp_path)
    assert found.kafka.security_protocol == "SASL_SSL"
    assert found.kafka.sasl_username in {"cartwake-worker", "edge", "emailer", "webhooks"}
    if name != "cartwake-edge":
        assert found.redis.url.startswith("rediss://")
        assert found.redis.password == "hush"


def test_nothing_is_empty_that_a_process_cannot_do_without(tmp_path):
    found = settings("cartwake-edge", tmp_path)
    assert all(getattr(found.edge, name) for name in edge.EXAMPLES)
    assert found.emailer.cart_url
    emailer.check(settings("cartwake-emailer", tmp_path))
    assert settings("cartwake-webhooks", tmp_path).webhooks.endpoints


@each_deployment
def test_a_port_and_a_probe_are_where_the_process_listens(name, tmp_path):
    section = getattr(settings(name, tmp_path), name.removeprefix("cartwake-"))
    ports = {it["name"]: it["containerPort"] for it in container(DEPLOYMENTS[name])["ports"]}
    assert section.metrics_host == "0.0.0.0"  # noqa: S104 - inside a pod, behind its policy
    assert ports.pop("metrics") == section.metrics_port
    assert [f"0.0.0.0:{port}" for port in ports.values()] == (
        [section.listen] if name == "cartwake-edge" else []
    )
    for probe, path in (
        ("startup", "/healthz"),
        ("liveness", "/healthz"),
        ("readiness", "/readyz"),
    ):
        asked = container(DEPLOYMENTS[name])[f"{probe}Probe"]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, "http" if ports else "metrics")


@pytest.mark.parametrize(
    ("name", "finishes_within_s"),
    [
        ("cartwake-worker", EXIT_WITHIN_S),
        ("cartwake-edge", edge.FINISH_WITHIN_S),
        ("cartwake-emailer", delivery.FINISH_WITHIN_S),
        ("cartwake-webhooks", delivery.FINISH_WITHIN_S),
    ],
)
def test_nobody_is_killed_who_is_still_finishing(name, finishes_within_s):
    before = container(DEPLOYMENTS[name]).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    needed = before.get("seconds", 0) + finishes_within_s
    assert pod(DEPLOYMENTS[name])["terminationGracePeriodSeconds"] > needed


@each_deployment
def test_nobody_leaves_before_the_next_one_is_ready(name):
    assert DEPLOYMENTS[name]["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }


def test_the_worker_that_comes_is_left_alone_for_longer_than_a_session():
    spec = DEPLOYMENTS["cartwake-worker"]["spec"]
    assert spec["minReadySeconds"] > WorkerSettings().session_timeout_s


def test_all_run_the_same_image_of_this_version():
    assert {container(it)["image"] for it in DEPLOYMENTS.values()} == {f"cartwake:{__version__}"}
    overlay = yaml.safe_load((FOLDER / "overlays/production/kustomization.yaml").read_text())
    (image,) = overlay["images"]
    assert (image["name"], image["newTag"]) == ("cartwake", __version__)


def test_workers_are_scaled_on_each_inputs_lag_up_to_one_a_shard():
    spec = of_kind("ScaledObject")["cartwake-worker"]["spec"]
    assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert spec["maxReplicaCount"] == KafkaSettings().partitions
    known = [trigger["metadata"] for trigger in spec["triggers"]]
    assert {it["topic"] for it in known} == set(LANES)
    assert {it["consumerGroup"] for it in known} == {WorkerSettings().group}
    assert {it["allowIdleConsumers"] for it in known} == {"false"}
    (kafka,) = {it["bootstrapServersFromEnv"] for it in known}
    assert kafka in variables(DEPLOYMENTS["cartwake-worker"], SECRETS)


def test_the_topics_are_those_that_topics_create_makes():
    settings = Settings(kafka=KafkaSettings(replication=3))
    made = [topics._new_topic(name, settings) for name in TOPICS]
    assert {
        name: (it["spec"]["partitions"], it["spec"]["replicas"], it["spec"]["config"])
        for name, it in of_kind("KafkaTopic").items()
    } == {
        it.topic: (
            it.num_partitions,
            it.replication_factor,
            {name: yaml.safe_load(value) for name, value in it.config.items()},
        )
        for it in made
    }
