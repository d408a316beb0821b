import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from stream.adapters.wire.codec import Defect
from stream.shard.ports import DEFECT
from stream.worker.metrics import Metrics

CONTRACT = {
    "events_total": {"topic", "type", "outcome"},
    "event_lag_seconds": set(),
    "decisions_total": {"kind", "outcome", "reason"},
    "trigger_fire_lag_seconds": set(),
    "trigger_end_to_end_seconds": set(),
    "dead_letters_total": {"reason"},
    "consent_refused_total": {"purpose"},
    "timers_armed": set(),
    "outbox_entries": set(),
    "commit_seconds": set(),
    "batch_records": set(),
    "shard_fenced_total": set(),
    "model_log_loss": {"model"},
    "model_roc_auc": {"model"},
    "model_version": {"model"},
}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry)


@pytest.fixture
def page(metrics, registry):
    """The page with every metric used once."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(**dict.fromkeys(metric._labelnames, "a"))
    return generate_latest(registry).decode()


def test_every_metric_of_the_contract_is_there_with_its_labels(page):
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            base = sample.name if family.type == "counter" else family.name
            labels.setdefault(base, set()).update(set(sample.labels) - {"le"})
    for name, expected in CONTRACT.items():
        assert labels[f"cartwake_{name}"] == expected


def test_the_two_trigger_times_are_histograms(metrics):
    assert isinstance(metrics.trigger_fire_lag_seconds, Histogram)
    assert isinstance(metrics.trigger_end_to_end_seconds, Histogram)


def test_the_buckets_span_what_is_expected(metrics, registry):
    metrics.trigger_fire_lag_seconds.observe(3600)
    metrics.commit_seconds.observe(0.0005)
    metrics.batch_records.observe(5000)

    def count(name: str, le: str) -> float | None:
        return registry.get_sample_value(f"cartwake_{name}_bucket", {"le": le})

    assert (
        count("trigger_fire_lag_seconds", "900.0"),
        count("trigger_fire_lag_seconds", "3600.0"),
    ) == (0, 1)
    assert count("commit_seconds", "0.0005") == 1
    assert (count("batch_records", "2000.0"), count("batch_records", "5000.0")) == (0, 1)


def test_every_metric_is_named_as_its_attribute(metrics):
    for attribute, metric in vars(metrics).items():
        if isinstance(metric, MetricWrapperBase):
            assert metric._name == f"cartwake_{attribute}"


def test_counters_count_from_zero_before_anything_happens(metrics, registry):
    assert registry.get_sample_value("cartwake_shard_fenced_total") == 0
    metrics.shard_fenced.inc()
    assert registry.get_sample_value("cartwake_shard_fenced_total") == 1


def test_the_first_burst_of_dead_letters_is_a_rise_from_zero(metrics, registry):
    for reason in (*Defect, DEFECT):
        assert registry.get_sample_value("cartwake_dead_letters_total", {"reason": reason}) == 0


def test_two_registries_do_not_meet(metrics):
    Metrics(CollectorRegistry()).kafka_up.set(1)
    assert metrics.kafka_up._value.get() == 0


def test_names_keep_to_the_rules_of_promtool(page):
    families = list(text_string_to_metric_families(page))
    assert len(families) == 28
    for family in families:
        assert family.name.startswith("cartwake_")
        assert len(family.documentation) > 40
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_total", "_created"))
        assert not {"ms", "milliseconds", "minutes", "counter", "gauge"} & set(
            family.name.split("_")
        )


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_nothing_to_say(page):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
