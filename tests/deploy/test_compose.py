"""The compose file: what it tells Cartwake is understood, and nothing of it leaves the machine."""

import shutil
import subprocess
from base64 import b64decode
from urllib.parse import urlsplit

import pytest
import yaml

from stream.cli import parser
from stream.config.loading import load
from tests.rig.processes import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
DEVELOPMENT = REPOSITORY / "deploy" / "development" / "cartwake.env"
PROJECT = yaml.safe_load(FILE.read_text())
SERVICES = PROJECT["services"]
OURS = {name: it for name, it in SERVICES.items() if "build" in it}


def variables(service):
    """Return the environment of a service with the keys of development."""
    lines = DEVELOPMENT.read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return given | service["environment"]


def test_everything_that_an_operator_needs_to_see_it_work_is_there():
    assert set(SERVICES) >= {"kafka", "redis", "topics", "worker", "edge", "emailer"}
    assert set(SERVICES) >= {"mailpit", "prometheus", "grafana"}


def test_webhooks_need_an_endpoint_so_they_are_there_for_those_who_ask():
    assert {name for name, it in SERVICES.items() if "profiles" in it} == {"webhooks"}
    service = OURS["webhooks"]
    told = load(None, variables(service)).webhooks
    (endpoint,) = told.endpoints
    assert told.allow_private
    assert [f"{urlsplit(endpoint.url).hostname}:host-gateway"] == service["extra_hosts"]


@pytest.mark.parametrize("name", OURS)
def test_cartwake_understands_its_settings_and_its_command(name):
    settings = load(None, variables(OURS[name]))
    assert settings.kafka.bootstrap == "kafka:19092"
    assert parser().parse_args(OURS[name]["command"]).call


def test_the_keys_of_development_say_what_they_are():
    edge = load(None, variables(OURS["edge"])).edge
    assert DEVELOPMENT.read_text().startswith("# DEVELOPMENT ONLY.")
    assert all(key.key.startswith("development-") for key in edge.keys)
    assert all(key.startswith("development-only-") for key in edge.signing_keys)
    for endpoint in load(None, variables(OURS["webhooks"])).webhooks.endpoints:
        keys = [b64decode(secret.removeprefix("whsec_")) for secret in endpoint.secrets]
        assert all(key.startswith(b"development-only-") for key in keys)


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_a_port_is_published_on_loopback_alone(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", OURS)
def test_cartwake_runs_without_any_right_that_it_does_not_need(name):
    service = OURS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "topics"])
def test_what_stays_up_is_looked_after(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize(
    "mount",
    [it for service in SERVICES.values() for it in service.get("volumes", ()) if it[0] == "."],
)
def test_what_is_mounted_is_in_the_repository_and_read_only(mount):
    source, _, mode = mount.split(":")
    assert mode == "ro"
    assert (REPOSITORY / source).exists()


def test_prometheus_asks_every_process_where_it_answers():
    scraped = yaml.safe_load((REPOSITORY / "deploy" / "prometheus.yml").read_text())
    asked = {
        (config["names"][0], str(config["port"]))
        for job in scraped["scrape_configs"]
        for config in job["dns_sd_configs"]
    }
    answers = {(name, port) for name, it in OURS.items() for port in it.get("expose", ())}
    assert answers <= asked


def test_docker_itself_takes_the_file():
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "--file", str(FILE), "config", "--quiet"]
    plugin = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not plugin or plugin.returncode:
        pytest.skip("docker compose is not installed")
    assert subprocess.run(command, check=False, capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_mounted_twice(name):
    targets = [mount.split(":")[1] for mount in SERVICES[name].get("volumes", [])]
    assert len(set(targets)) == len(targets)
