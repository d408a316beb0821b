"""What the guides show is understood by what it is shown for."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from stream.config.loading import load
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Accepted, Failed
from stream.delivery.links import CartLink, LinkedLine, Links
from stream.domain.feedback import MESSAGES
from stream.domain.records import TriggerCancel
from stream.webhooks.egress import session
from stream.webhooks.endpoint import WebhookChannel
from tests.delivery.triggers import trigger
from tests.edge.script.visit import Site
from tests.edge.shop import Shop, basic
from tests.guides import FOLDER, blocks, replaced, written
from tests.rig.processes import LOOPBACK, REPOSITORY, Program, free_port

NODE = shutil.which("node")
GUIDES = sorted(page.stem for page in FOLDER.glob("*.md"))
ANSWER = "Orders from the server"


def trial():
    """Return the trial's file of settings as it grows, each state of it."""
    states, text = [], ""
    for guide in ("pipeline", "messages"):
        for name, is_added, more in written(guide):
            if name == "cartwake.toml":
                text = text + more if is_added else more
                states.append(text)
    return states


def shown():
    """Return every other text of settings that a guide shows."""
    fenced = [block.text for guide in GUIDES for block in blocks(guide, "toml")]
    return fenced + [text for name, _, text in written("messages") if name == "mails.toml"]


def settings(tmp_path, *texts):
    file = tmp_path / "cartwake.toml"
    file.write_text("\n".join(texts))
    return load(file, {})


def shell(text, folder, **environment):
    """Run a block of shell, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("text", trial() + shown())
def test_settings_are_understood(text, tmp_path):
    settings(tmp_path, text)


def test_the_trial_ends_with_settings_for_all_that_is_run_in_it(tmp_path):
    final = settings(tmp_path, trial()[-1])
    assert {key.kind for key in final.edge.keys} == {"browser", "server"}
    assert final.emailer.sender
    assert final.emailer.cart_url
    assert final.webhooks.endpoints


def test_every_guide_begins_with_a_success_that_prints_something():
    for guide in GUIDES:
        first = re.findall(r"^## (.+)$", (FOLDER / f"{guide}.md").read_text(), re.MULTILINE)[0]
        assert first == "First success"
        assert {"sh", "text"} <= {block.language for block in blocks(guide, heading=first)}


def bodies():
    """Return the arrays of events that guides show as JSON."""
    found = [json.loads(block.text) for guide in GUIDES for block in blocks(guide, "json")]
    return [one for one in found if isinstance(one, list)]


@pytest.mark.parametrize("events", bodies())
def test_events_are_valid_and_taken(events, tmp_path):
    shop = Shop(settings(tmp_path, trial()[0]).edge)
    answer = shop.server("/v1/events", events, key="trial-server")
    assert answer.json() == {"accepted": len(events), "refused": [], "ignored": 0}
    for event in events:
        schema = REPOSITORY / "schemas" / "events" / f"{event['type']}.json"
        Draft202012Validator(json.loads(schema.read_text())).validate(event)


def test_feedback_has_all_its_types_and_reasons():
    text = (FOLDER / "messages.md").read_text()
    for kind in MESSAGES:
        assert f"`{kind.__struct_config__.tag}`" in text
    schema = json.loads((REPOSITORY / "schemas/events/message_skipped.json").read_text())
    row = next(line for line in text.splitlines() if line.startswith("| `message_sent`"))
    reasons = json.dumps(schema)
    for reason in re.findall(r"`(\w+)`", row.partition("`reason`:")[2]):
        assert f'"{reason}"' in reasons


def test_a_carts_link_answers_what_the_guide_says(tmp_path):
    told = next(json.loads(one.text) for one in blocks("storefront", "json", ANSWER))
    edge = settings(tmp_path, trial()[0]).edge
    link = CartLink(
        "default", "v-4711", "7" * 32, told["fingerprint"], [LinkedLine("mug", None, 2)]
    )
    token = Links(edge.signing_keys).sign("cart", link)
    assert Shop(edge).client.get(f"/v1/carts/{token}").json() == told


@contextmanager
def served(edge):
    """Serve an edge of these settings, with a log in memory, on a real port."""
    site = Site()
    site.shop = Shop(edge, lambda: time.time_ns() // 1_000_000)
    try:
        site.start()
        yield site
    finally:
        site.close()


def test_what_a_shops_server_sends_is_taken(tmp_path):
    """The order, the signed refund, the CloudEvent and Shopify's webhook, one after the other."""
    hooks = next(one.text for one in blocks("storefront", "toml", "Vendors"))
    edge = settings(tmp_path, trial()[0], hooks.removeprefix("[edge]\n")).edge
    order, *_ = blocks("storefront", "sh", ANSWER)
    python = "".join(one.text for one in blocks("storefront", "python"))
    *_, shopify = blocks("storefront", "sh", "Vendors")
    with served(edge) as here:
        at = {"localhost:8080": f"{LOOPBACK}:{here.port}"}
        answers = [shell(replaced(order.text, at), tmp_path)]
        (tmp_path / "post.py").write_text(replaced(python, at))
        answers += shell("python post.py", tmp_path).replace("'", '"').splitlines()
        answers.append(shell(replaced(shopify.text, at), tmp_path))
        shown = next(one.text for one in blocks("storefront", "text", ANSWER))
        assert [json.loads(one) for one in answers] == [json.loads(shown)] * 4
        kinds = [event["type"] for event in here.shop.log.events]
    assert kinds == ["order_completed", "order_refunded", "payment_failed", "order_completed"]
    *ours, shopifys = [event["visitor"] for event in here.shop.log.events]
    assert (set(ours), len(shopifys)) == ({"v-4711"}, 32)


def test_reasons_that_the_guide_explains_are_given(tmp_path):
    shop = Shop(settings(tmp_path, trial()[0]).edge)
    text = (FOLDER / "storefront.md").read_text()
    order = {"type": "order_completed", "id": "o", "visitor": "v", "at_ms": 1, "order": "o"}
    page = {"Origin": "http://localhost:8000", "User-Agent": "Mozilla/5.0"}
    signed = shop.client.get("/v1/visitor?writeKey=trial-page", headers=page).json()["signed"]
    order |= {"visitor": signed, "total_minor": 1, "currency": "EUR"}
    view = {"type": "page_viewed", "id": "p", "visitor": "v", "at_ms": 1, "url": "/"}
    answers = [
        shop.page([order], page, "trial-page"),
        shop.page([view], page, "trial-page"),
        shop.page([view], page | {"Origin": "http://other.example"}, "trial-page"),
        shop.page([view], page, "trial-server"),
        shop.client.post("/v1/hooks/shopify", content=b"{}"),
        shop.client.post("/v1/events", content=b"x", headers=basic("trial-server")),
    ]
    reasons = [one.json().get("error") or one.json()["refused"][0]["reason"] for one in answers]
    assert reasons == [
        "right_missing",
        "visitor_not_signed",
        "origin_not_allowed",
        "wrong_key",
        "wrong_signature",
        "malformed",
    ]
    for answer, reason in zip(answers, reasons, strict=True):
        rows = [line for line in text.splitlines() if line[:1] == "|" and f"`{reason}`" in line]
        assert rows[0].startswith(f"| {answer.status_code} ")


def test_prometheus_finds_the_jobs_that_alerts_go_by(tmp_path):
    told = next(text for name, _, text in written("pipeline") if name == "prometheus.yml")
    jobs = {one["job_name"] for one in yaml.safe_load(told)["scrape_configs"]}
    usual = yaml.safe_load((REPOSITORY / "deploy" / "prometheus.yml").read_text())
    assert jobs <= {one["job_name"] for one in usual["scrape_configs"]}
    if promtool := shutil.which("promtool"):
        shutil.copytree(REPOSITORY / "deploy" / "prometheus" / "rules", tmp_path / "rules")
        (tmp_path / "prometheus.yml").write_text(told)
        subprocess.run([promtool, "check", "config", tmp_path / "prometheus.yml"], check=True)


def receivers():
    """Return the two receivers: how each is run, its file and its text."""
    chapter = "2. A sender by HTTP"
    python, node = blocks("messages", "python", chapter)[0], blocks("messages", "js", chapter)[0]
    return {
        "python": (sys.executable, "receiver.py", python.text),
        "node": (NODE, "receiver.mjs", node.text),
    }


CANCEL = TriggerCancel(
    trigger_id=trigger().trigger_id,
    kind="cart_abandonment",
    tenant="default",
    visitor="anna",
    reason="consent_refused",
    at_ms=1_790_000_000_000,
)


async def posted(port, secret, channel_body=None, cancel=None):
    """Post a trigger, or its cancel, by our own channel, and return its outcome."""
    endpoint = Endpoint(name="crm", url=f"http://{LOOPBACK}:{port}/hook", secrets=(secret,))
    now_ms = time.time_ns() // 1_000_000
    async with session(allow_private=True) as requests:
        channel = WebhookChannel(endpoint, requests, lambda _: None)
        parcel = (
            channel.recall(cancel) if cancel else await channel.prepare(trigger(), None, now_ms)
        )
        if channel_body is not None:
            # Signed is what was prepared, sent is another body.
            headers = channel._headers(parcel, now_ms)
            async with requests.post(endpoint.url, data=channel_body, headers=headers) as answer:
                return answer.status
        return await channel.send(parcel, 0, now_ms)


@pytest.mark.parametrize("language", ["python", "node"])
async def test_a_receiver_takes_what_our_channel_signs_once_and_nothing_else(
    language, tmp_path, request
):
    program, file, text = receivers()[language]
    if language == "node":
        (tmp_path / "node_modules").symlink_to(request.getfixturevalue("node_clients"))
    port = free_port()
    changes = {"8001": str(port), "localhost": LOOPBACK}
    (tmp_path / file).write_text(replaced(text, changes))
    receiver = Program([program, str(tmp_path / file)], tmp_path / "receiver.log")
    receiver.start()
    secret = settings(tmp_path, trial()[-1]).webhooks.endpoints[0].secrets[0]
    try:
        await listening(port)
        assert [await posted(port, secret) for _ in range(2)] == [Accepted(), Accepted()]
        assert await posted(port, secret, cancel=CANCEL) == Accepted()
        other = "whsec_" + b64encode(b"another secret").decode()
        assert isinstance(await posted(port, other), Failed)
        assert await posted(port, secret, b"{}") == 401
    finally:
        receiver.kill()
    assert receiver.output == "remind anna of 2580\nforget anna\n"


async def listening(port):
    """Return once the receiver answers, whatever it says."""
    deadline = time.monotonic() + 30
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.post(f"http://{LOOPBACK}:{port}/hook", data=b"{}"):
                    return
            except aiohttp.ClientError:
                assert time.monotonic() < deadline


def test_a_secret_is_made_as_the_guide_says(tmp_path):
    (command,) = re.findall(r"`(echo whsec_.+?)`", (FOLDER / "messages.md").read_text())
    Webhook(shell(command, tmp_path).strip())


@pytest.mark.skipif(NODE is None, reason="no Node")
@pytest.mark.parametrize("guide", GUIDES)
def test_javascript_is_javascript(guide, tmp_path):
    for number, block in enumerate(blocks(guide, "js")):
        file = tmp_path / f"{number}.mjs"
        file.write_text(block.text)
        subprocess.run([NODE, "--check", file], check=True)


@pytest.mark.parametrize("guide", GUIDES)
def test_shell_is_shell_and_python_is_python(guide):
    for block in blocks(guide, "sh"):
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for block in blocks(guide, "python"):
        compile(block.text, guide, "exec")


@pytest.mark.parametrize("guide", ["add-a-kind", "add-an-input", "add-a-vendor", "add-a-channel"])
def test_what_a_guide_adds_to_the_code_works_there(guide, tmp_path):
    """The guide's shell and diffs, in order, on a copy of the code."""
    for part in ("stream", "tests"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, symlinks=True)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    printed = ""
    for block in blocks(guide, heading="First success"):
        if block.language == "sh":
            printed += shell(block.text.replace(".venv/bin/python", sys.executable), tmp_path)
        elif block.language == "diff":
            command = ["patch", "-p1"]
            subprocess.run(command, cwd=tmp_path, input=block.text, text=True, check=True)
    (expected,) = blocks(guide, "text", "First success")
    for line in expected.text.splitlines():
        assert line in printed
