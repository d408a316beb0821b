"""The findings about settings: files, who else can read them, keys."""

import json
import os

import pytest

from stream.admin.configuration import check_configuration
from stream.admin.finding import Severity
from stream.config.loading import load

STRONG = "4f2b8c1d9e6a7053b1c2d3e4f5061728"
# What deploy/development and the guides show.
DEVELOPMENT = "development-only-anybody-can-sign-with-this"
PLACEHOLDER = "<what openssl rand -hex 32 prints>"
BROWSER = {"key": "pk", "kind": "browser", "origins": ["https://shop.example"]}
SERVER = {"key": STRONG, "kind": "server"}


@pytest.fixture
def judged(tmp_path):
    """Return a function that checks the settings in a file's text and in variables."""

    def judge(text: str = "", mode: int = 0o600, **variables: str):
        file = tmp_path / "cartwake.toml"
        file.write_text(text)
        file.chmod(mode)
        environ = {f"CARTWAKE_{name.upper()}": value for name, value in variables.items()}
        return list(check_configuration(load(file, environ), file, environ))

    return judge


def bad(findings):
    """Return the one line that is not ok."""
    [finding] = [one for one in findings if one.severity is not Severity.OK]
    assert finding.remedy
    return str(finding)


def hooks(secret):
    return {"edge__hooks": json.dumps([{"vendor": "shopify", "secret": secret}])}


def endpoint(secret):
    end = {"name": "crm", "url": "https://crm.example/hook", "secrets": [secret]}
    return {"webhooks__endpoints": json.dumps([end])}


def edge(*keys, signing=(STRONG,)):
    return {"edge__keys": json.dumps(keys), "edge__signing_keys": json.dumps(signing)}


def test_it_is_told_where_settings_come_from(judged, tmp_path):
    [finding] = judged("[session]\nidle_s = 60\n", worker__group="shop")
    assert finding.severity is Severity.OK
    assert finding.observed.startswith(f"{tmp_path}/cartwake.toml, 1 variable of the environment;")
    [finding] = check_configuration(load(None, {}), None, {})
    assert finding.observed.startswith("no file, 0 variables of the environment;")


@pytest.mark.parametrize("secret", ['password = "hush-1"', 'url = "redis://ann:hush-1@redis:6379"'])
def test_a_file_with_secrets_is_for_its_owner_alone(judged, secret):
    text = f"[redis]\n{secret}\n"
    assert all(one.severity is Severity.OK for one in judged(text, mode=0o640))
    line = bad(judged(text, mode=0o644))
    assert "is open to every user of this machine (mode 0644) -> chmod o-rwx" in line
    assert "hush-1" not in line


def test_a_file_without_secrets_may_be_open(judged):
    assert all(
        one.severity is Severity.OK for one in judged("[session]\nidle_s = 60\n", mode=0o644)
    )


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("redis__password_file", {}),
        (
            "kafka__sasl_password_file",
            {"kafka__security_protocol": "SASL_PLAINTEXT", "kafka__sasl_username": "ann"},
        ),
    ],
)
def test_a_password_s_file_is_for_its_owner_alone(judged, tmp_path, setting, more):
    file = tmp_path / "password"
    file.write_text("hush-1\n")
    file.chmod(0o600)
    named = {setting: str(file), **more}
    assert all(one.severity is Severity.OK for one in judged(**named))
    file.chmod(0o604)
    line = bad(judged(**named))
    assert line.startswith(f"warn  {setting.replace('__', '.')}: {file} is open")


def test_an_authority_that_is_not_pem_fails(judged, tmp_path, certificates):
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate\n")
    secure = {"redis__url": "rediss://redis:6379/0"}
    line = bad(judged(**secure, redis__ssl_cafile=str(wrong)))
    assert line.startswith(f"FAIL  redis.ssl_cafile: {wrong} is not PEM")
    good = judged(**secure, redis__ssl_cafile=str(certificates.ca))
    assert all(one.severity is Severity.OK for one in good)


def test_an_edge_that_is_set_up_is_ok_and_shows_no_key(judged):
    findings = judged(**edge(BROWSER, SERVER))
    assert all(one.severity is Severity.OK for one in findings)
    assert findings[-1].observed == "keys: 1 browser, 1 server; signing keys: 1"
    assert STRONG not in str(findings)


def test_a_secret_by_openssl_is_ok(judged):
    strong = "whsec_mZ2h0cQ8r1xVYwJ4kT9bLpE6uN3sGfDa"
    assert all(one.severity is Severity.OK for one in judged(**endpoint(strong)))


def test_an_edge_without_signing_keys_fails(judged):
    line = bad(judged(**edge(BROWSER, signing=())))
    assert line.startswith("FAIL  edge: has keys, but no keys to sign visitor ids -> set edge")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (edge(BROWSER, signing=("short",)), "edge.signing_keys: 1 can be guessed"),
        (edge(BROWSER, signing=(DEVELOPMENT,)), "edge.signing_keys: 1 can be guessed"),
        (edge(BROWSER, signing=(PLACEHOLDER, STRONG)), "edge.signing_keys: 1 can be guessed"),
        (edge(SERVER | {"key": "short"}), "edge.keys of servers: 1 can be guessed"),
        (edge(SERVER) | hooks("x"), "edge.hooks: 1 can be guessed"),
        (edge(SERVER) | hooks("<secret of the vendor, from its page>"), "edge.hooks: 1 can be"),
        (hooks("change-me-before-you-go-to-production"), "edge.hooks: 1 can be guessed"),
        (hooks("${SHOPIFY_SECRET_OF_THE_SHOP_FROM_VAULT}"), "edge.hooks: 1 can be guessed"),
        (endpoint("whsec_c2hvcnQtc2hvcnQtc2hvcnQ="), "webhooks.endpoints: 1 can be guessed"),
        (
            endpoint("whsec_dHJpYWwtc2VjcmV0LXRyaWFsLXNlY3JldA=="),
            "webhooks.endpoints: 1 can be guessed",
        ),
    ],
)
def test_a_secret_that_can_be_guessed_is_worth_a_warning(judged, variables, words):
    line = bad(judged(**variables))
    assert line.startswith(f"warn  {words}")
    assert "openssl rand -" in line


def test_the_customers_file_is_there_and_for_its_owner_alone(judged, tmp_path):
    customers = tmp_path / "customers.csv"
    line = bad(judged(emailer__directory=str(customers)))
    assert line.startswith(f"FAIL  emailer.directory: {customers} is not a file")
    customers.write_text("visitor,email\n")
    os.chmod(customers, 0o644)  # noqa: PTH101 - as the operator has it
    assert "is open to every user" in bad(judged(emailer__directory=str(customers)))


def test_a_folder_of_templates_is_there(judged, tmp_path):
    line = bad(judged(emailer__templates=str(tmp_path / "mails")))
    assert line.startswith("FAIL  emailer.templates: ")
