import argparse
import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from stream import replay
from stream.adapters.wire.codec import decode
from stream.cli import parser
from stream.config.loading import CONFIG, PREFIX
from stream.config.settings import KNOWN, SECTIONS, Settings
from stream.domain.topics import TOPIC_OF, TYPE_OF, event_types, written_by
from stream.edge.metrics import EdgeMetrics
from stream.emailer.metrics import EmailerMetrics
from stream.runtime import logs
from stream.webhooks.metrics import WebhookMetrics
from stream.worker.metrics import Metrics

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
KAFKA = ROOT / "docs" / "kafka.md"
OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "README.md",
    ROOT / "schemas" / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
]
# A page's code: spans, and the lines of blocks.
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
# Elsewhere a word after "cartwake" is prose, or a name such as cartwake.toml.
COMMAND = re.compile(r"^(?:\.venv/bin/)?cartwake(?: +(.*))?$")


def code(page):
    found = ("".join(parts) for parts in CODE.findall(page.read_text()))
    return [line.strip() for text in found for line in text.splitlines() if line.strip()]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands():
    """Return each cartwake command once, without comments and what its output goes to."""
    lines = (re.sub(r"\s+(#|\||>).*", "", line) for page in PAGES for line in code(page))
    return sorted({found[1] or "" for line in lines if (found := COMMAND.match(line))})


def sub_commands(command):
    return next(
        (a.choices for a in command._actions if isinstance(a, argparse._SubParsersAction)), {}
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("line", commands())
def test_every_command_and_option_exists(line):
    command = parser()
    for word in line.split():
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in command._option_string_actions
        elif choices := sub_commands(command):
            assert word in choices
            command = choices[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_exists(page):
    variables = set(re.findall(rf"{PREFIX}[A-Z_]+", page.read_text())) - {CONFIG, logs.VARIABLE}
    names = {name.removeprefix(PREFIX).replace("__", ".", 1).lower() for name in variables}
    dotted = re.compile(rf"(?:{'|'.join(SECTIONS)})\.(?!(?:py|conf)$)[a-z_]+")
    names |= {line for line in code(page) if dotted.fullmatch(line)}
    assert names <= KNOWN.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_verb_exists(page):
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for line in code(page) if (found := re.match(r"make ([a-z]+)", line))}
    assert named <= verbs


def test_operations_tell_of_every_metric_and_of_no_other():
    known = set()
    for program in (Metrics, EdgeMetrics, EmailerMetrics, WebhookMetrics):
        registry = CollectorRegistry()
        program(registry)
        known |= {
            metric.name + ("_total" if metric.type == "counter" else "")
            for metric in registry.collect()
        }
    assert set(re.findall(r"`(cartwake_\w+)", OPERATIONS.read_text())) == known


def test_the_page_on_kafka_names_every_type_under_its_topic():
    text = KAFKA.read_text()
    for topic in written_by("storefront"):
        row = re.search(rf"^\| `{topic}` \| (.*) \|$", text, re.MULTILINE)
        assert row is not None
        types = [TYPE_OF[kind] for kind in event_types([topic])]
        assert re.findall(r"`(\w+)`", row[1]) == types


def test_the_events_on_the_page_on_kafka_give_its_trigger(tmp_path):
    events, trigger = blocks(KAFKA, "json")
    topics = [TOPIC_OF[type(decode(line.encode()))] for line in events.splitlines()]
    assert topics == ["consent-events", "page-views", "cart-events"]
    log = tmp_path / "events.jsonl"
    log.write_text(events)
    replay.run(str(log), tmp_path / "out", Settings(), drain_s=2700)
    fired = (tmp_path / "out" / "triggers.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in fired] == [json.loads(trigger)]


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", [README, KAFKA], ids=lambda page: page.name)
def test_python_is_python(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")
