"""What is said of endpoints: their secrets, whether they may be posted to, where names lead."""

from base64 import b64encode

import pytest

from stream.admin import webhooks as module
from stream.admin.finding import Severity
from stream.admin.webhooks import check_endpoints, check_names
from stream.config.settings import WebhookSettings
from stream.config.webhooks import Endpoint
from stream.webhooks import egress

PATH = "hush-token"


def secret(length=32):
    return f"whsec_{b64encode(bytes(range(length))).decode()}"


def of(*urls, secrets=None, **other):
    """Return the settings of endpoints at these addresses."""
    return WebhookSettings(
        endpoints=tuple(
            Endpoint(name=f"crm-{number}", url=f"{url}/{PATH}", secrets=secrets or (secret(),))
            for number, url in enumerate(urls)
        ),
        **other,
    )


def said(findings):
    """Return the lines of what was found, none of which shows a secret or a URL."""
    lines = [str(one) for one in findings]
    for line in lines:
        assert PATH not in line
        assert "whsec_" not in line.replace("whsec_ and the output", "")
    assert all(one.remedy for one in findings if one.severity is not Severity.OK)
    return lines


def test_without_endpoints_nothing_is_said():
    assert list(check_endpoints(WebhookSettings())) == []


def test_endpoints_as_they_should_be_are_a_line_each():
    settings = of("https://crm.example", "https://sms.example", secrets=(secret(), secret(24)))
    assert said(list(check_endpoints(settings))) == [
        "ok    webhook crm-0: its url is allowed, 2 secrets to sign with",
        "ok    webhook crm-1: its url is allowed, 2 secrets to sign with",
    ]


@pytest.mark.parametrize("url", ["http://crm.example", "https://10.0.0.7", "https://[::1]:8443"])
def test_an_endpoint_that_may_not_be_posted_to_fails_unless_it_is_allowed(url):
    [line] = said(list(check_endpoints(of(url))))
    assert line.startswith("FAIL  webhook crm-0: its url is not https:// to a public address")
    assert "webhooks.allow_private = true" in line
    assert all(one.severity is Severity.OK for one in check_endpoints(of(url, allow_private=True)))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [((32, 23), "1 of its secrets below 24 bytes"), ((65, 99), "2 of its secrets above 64 bytes")],
)
def test_a_secret_that_is_too_short_or_long_is_worth_a_warning(lengths, words):
    settings = of("https://crm.example", secrets=tuple(map(secret, lengths)))
    [line] = said(list(check_endpoints(settings)))
    assert line.startswith(f"warn  webhook crm-0: {words}")
    assert "openssl rand -base64 32" in line


KNOWN = {"crm.example": ["93.184.216.34", "10.0.0.7"], "intern.example": ["10.0.0.7"]}


class Names:
    """Resolves names as they are known; whoever is not leads nowhere."""

    async def resolve(self, host, port, family):
        if host not in KNOWN:
            raise OSError("no such name")
        return [{"host": one} for one in KNOWN[host]]

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def names(monkeypatch):
    for room in (egress, module):
        monkeypatch.setattr(room, "DefaultResolver", Names)


async def test_where_names_lead_is_judged_as_requests_do():
    urls = [f"https://{name}.example" for name in ("crm", "intern", "gone")]
    told = said(await check_names(of(*urls)))
    assert told[0] == "ok    name of webhook crm-0: resolves to 1 address"
    assert told[1].startswith("FAIL  name of webhook crm-1: resolves to no public address")
    assert told[2].startswith(
        "FAIL  name of webhook crm-2: does not resolve on this machine (OSError) -> "
    )


async def test_where_private_addresses_are_allowed_a_name_has_only_to_lead_anywhere():
    urls = [f"http://{name}.example" for name in ("crm", "intern", "gone")]
    found = await check_names(of(*urls, allow_private=True))
    assert [one.severity for one in found] == [Severity.OK, Severity.OK, Severity.FAIL]


async def test_of_what_may_not_be_posted_to_no_name_is_asked():
    assert await check_names(of("http://crm.example")) == []
