"""What Cartwake's processes publish and its rules record: what a rule or a panel may ask for."""

import re

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from stream.edge.metrics import EdgeMetrics
from stream.emailer.metrics import EmailerMetrics
from stream.runtime.bulkhead import DefectCounter
from stream.webhooks.metrics import WebhookMetrics
from stream.worker.metrics import Metrics
from tests.rig.processes import REPOSITORY

RULES = sorted((REPOSITORY / "deploy" / "prometheus" / "rules").glob("*.yml"))
# What Prometheus itself adds to every series.
ADDED = {"instance", "job"}
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def rules():
    """Return every rule of every file."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def labels(expr):
    """Return the labels that an expression groups by, matches on or selects by."""
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expr)
    named = {name.strip() for group in grouped for name in group.split(",")} - {""}
    return named | set(re.findall(r"(\w+)(?:=~?|!=|!~)\"", expr))


def labels_of():
    """Return the labels of every series that is published, by its name."""
    found = {}
    for kind in (Metrics, EdgeMetrics, EmailerMetrics, WebhookMetrics):
        for metric in vars(kind(CollectorRegistry())).values():
            if isinstance(metric, DefectCounter):
                metric = metric._counter  # noqa: PLW2901 - the metric that it wraps
            if isinstance(metric, MetricWrapperBase):
                for ending in ENDINGS.get(metric._type, ("",)):
                    name = metric._name + ending
                    found[name] = {*metric._labelnames, *(["le"] if ending == "_bucket" else [])}
    return found
