"""Names and words of ``stream/``: one class per name, and plain English.

A reader who searches for a class must find one. A reader with ordinary English must understand
every docstring, log line and error at first reading.
"""

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STREAM = ROOT / "stream"
# Phrases that stand for a plain one, and what to write instead.
RIDDLES = {
    "The one rule": "state the rule itself",
    "Be content": "say what is done",
    "who has": "name the subject: the broker, the worker, the visitor",
    "nobody is": "say what is unavailable and what waits",
    "come round": "has made no progress",
    "for whom": "name the subject",
    "whose turn": "name what is ready",
    "is told": "is notified, reported or sent",
    "are told": "are notified, reported or sent",
    "was told": "was notified, reported or sent",
    "tell of": "report",
    "is owed": "is pending or due",
    "are owed": "are pending or due",
    "who need not": "name the subject",
    "none where there is none": "returns None if ...",
}


@functools.cache
def parsed(folder=STREAM):
    return {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}


def class_places(trees):
    """Return where each class name is given, as file:line."""
    places = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


def texts(tree):
    """Return every string of a module (docstrings, log lines, errors) with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, re.sub(r"\s+", " ", node.value)


def test_a_class_name_is_given_once():
    double = {name: at for name, at in class_places(parsed()).items() if len(at) > 1}
    lines = [
        f"class {name} is defined in {' and in '.join(at)}: rename all but one after what it is"
        for name, at in double.items()
    ]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("phrase", RIDDLES)
def test_texts_are_plain(phrase):
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}: {RIDDLES[phrase]}"
        for path, tree in parsed().items()
        for line, text in texts(tree)
        if re.search(rf"\b{phrase}\b", text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)
