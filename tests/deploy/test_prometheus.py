"""Rules and alerts: Prometheus's own checks, and that they speak of what there is."""

import re
import shutil

import pytest
import yaml
from prometheus_client import CollectorRegistry

from stream.worker.metrics import Metrics
from tests.deploy.published import ADDED, RECORDED, RULES, labels, labels_of, rules
from tests.rig.processes import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
RUNBOOKS = REPOSITORY / "docs" / "runbooks"


ALERTS = [rule for rule in rules() if "alert" in rule]


def test_prometheus_takes_the_rules(promtool):
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration(promtool, tmp_path):
    for file in RULES:
        (tmp_path / "rules").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "rules")
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    done = promtool("check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


def test_each_alert_fires_when_it_should_and_not_when_it_should_not(promtool):
    done = promtool("test", "rules", *TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_test_of_each_alert_both_ways():
    checked = {
        (found[1], check["exp_samples"][0]["value"])
        for file in TESTS
        for case in yaml.safe_load(file.read_text())["tests"]
        for check in case["promql_expr_test"]
        if (found := re.search(r'alertname="(\w+)"', check["expr"]))
    }
    assert checked == {(alert["alert"], value) for alert in ALERTS for value in (0, 1)}


@pytest.mark.parametrize("rule", [*rules()], ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_asks_for_series_that_there_are(rule):
    named = set(re.findall(r"\bcartwake[_:][a-zA-Z0-9_:]+", rule["expr"]))
    assert named or re.search(r"\b(up|process_start_time_seconds)\{job=", rule["expr"])
    assert named <= labels_of().keys() | RECORDED
    there = set().union(*(labels_of().get(one, ()) for one in named)) | ADDED
    assert labels(rule["expr"]) <= there
    told = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= there


def test_a_share_of_a_histogram_is_of_a_bucket_that_there_is():
    registry = CollectorRegistry()
    Metrics(registry)
    known = {
        (sample.name, sample.labels["le"])
        for metric in registry.collect()
        for sample in metric.samples
        if "le" in sample.labels
    }
    asked = {
        found
        for rule in rules()
        for found in re.findall(r'(cartwake_\w+_bucket)\{le="([\d.]+)"\}', rule["expr"])
    }
    assert asked
    assert asked <= known


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(alert):
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    page = REPOSITORY / alert["annotations"]["runbook_url"]
    assert page.parent == RUNBOOKS
    text = page.read_text()
    assert text.index("## Look") < text.index("## Do\n") < text.index("## Do not")


def test_the_operating_guide_has_every_alert_and_no_other():
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    rows = re.findall(
        r"^\| `(Cartwake\w+)` \| (\w+) \| (.+) \| \[.*\]\((.*)\) \|$", text, re.MULTILINE
    )
    assert rows == [
        (
            alert["alert"],
            alert["labels"]["severity"],
            alert["annotations"]["summary"],
            alert["annotations"]["runbook_url"].removeprefix("docs/"),
        )
        for alert in ALERTS
    ]


def test_there_is_no_page_without_an_alert():
    told = {alert["annotations"]["runbook_url"] for alert in ALERTS}
    assert {f"docs/runbooks/{page.name}" for page in RUNBOOKS.glob("*.md")} == told
