"""Settings as they are read: which of a file and variables counts, and what is refused how."""

import json
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from stream.config.loading import load
from stream.config.settings import SECRETS, SECTIONS, Settings
from stream.errors import UsageError


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "cartwake.toml"
        file.write_text(text)
        return file

    return write


def refusal(file: Path | None = None, **environ: str) -> str:
    with pytest.raises(UsageError) as refused:
        load(file, environ)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_file_sets_what_it_names_and_nothing_else(written):
    settings = load(written("[cart_abandonment]\nidle_s = 3\nsteps_s = [0, 10]\n"), {})
    assert settings.cart_abandonment == SECTIONS["cart_abandonment"](idle_s=3, steps_s=(0, 10))
    assert settings.session == Settings().session


def test_cartwake_config_names_the_file_unless_the_command_line_does(written, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("[session]\nidle_s = 7\n")
    file = written("[session]\nidle_s = 5\n")
    assert load(None, {"CARTWAKE_CONFIG": str(file)}).session.idle_s == 5
    assert load(other, {"CARTWAKE_CONFIG": str(file)}).session.idle_s == 7
    assert load(None, {"CARTWAKE_CONFIG": ""}).session.idle_s == 1800


def test_a_variable_wins_over_the_file(written):
    file = written('[worker]\nclock = "live"\ngroup = "file"\n')
    worker = load(file, {"CARTWAKE_WORKER__CLOCK": "records"}).worker
    assert (worker.clock, worker.group) == ("records", "file")


NODES = "rediss+cluster://u@a:7000,[::1]:1,c/"


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("CARTWAKE_WORKER__METRICS_PORT", "0", 0),
        ("CARTWAKE_HOLDOUT__FRACTION", "0", 0.0),
        ("CARTWAKE_HOLDOUT__FRACTION", "0.5", 0.5),
        ("CARTWAKE_HOLDOUT__SALT", "12", "12"),
        ("CARTWAKE_CART_ABANDONMENT__STEPS_S", "[0, 60]", (0, 60)),
        ("CARTWAKE_CART_ABANDONMENT__IDLE_S", "604800", 604_800),
        ("CARTWAKE_KAFKA__BOOTSTRAP", "a:1, [::1]:65535", "a:1, [::1]:65535"),
        ("CARTWAKE_REDIS__URL", "rediss://u:p@cache/3", "rediss://u:p@cache/3"),
        ("CARTWAKE_REDIS__URL", "redis+cluster://cache:7000", "redis+cluster://cache:7000"),
        ("CARTWAKE_REDIS__URL", "rediss+cluster://u@a:7000,[::1]:1,c/", NODES),
        ("CARTWAKE_REDIS__URL", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_variable_is_read_as_its_setting_has_it(variable, text, expected):
    section, name = variable.removeprefix("CARTWAKE_").lower().split("__")
    assert getattr(getattr(load(None, {variable: text}), section), name) == expected


def test_variables_that_are_not_settings_are_left_alone():
    environ = {"CARTWAKE_DATA": "x", "PATH": "y", "MY_CARTWAKE_KAFKA__X": "z"}
    assert load(None, environ) == Settings()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("kafka.bootstrap", '""'),
        ("kafka.bootstrap", '"localhost"'),
        ("kafka.bootstrap", '"a:1,,b:2"'),
        ("kafka.bootstrap", '"a:65536"'),
        ("kafka.bootstrap", '"kafka://a:1"'),
        ("kafka.partitions", "0"),
        ("kafka.partitions", "12.0"),
        ("kafka.partitions", '"12"'),
        ("kafka.replication", "-1"),
        ("kafka.replication", "true"),
        ("kafka.security_protocol", '"sasl"'),
        ("kafka.sasl_mechanism", '"OAUTHBEARER"'),
        ("redis.url", '"localhost:6379"'),
        ("redis.url", '"http://localhost"'),
        ("redis.url", '"redis://"'),
        ("redis.url", '"unix://"'),
        ("redis.url", '"redis://localhost:99999"'),
        ("redis.url", '"redis://localhost/first"'),
        ("redis.url", '"redis://a:1,b:2"'),
        ("redis.url", '"redis+cluster://a:1,,b:2"'),
        ("redis.url", '"redis+cluster://a:1,b:0"'),
        ("redis.url", '"redis+cluster://a:1,b:99999"'),
        ("redis.url", '"redis+cluster://a:1/1"'),
        ("worker.group", '""'),
        ("worker.group", '"shop{1}"'),
        ("worker.session_timeout_s", "0"),
        ("worker.metrics_host", '""'),
        ("worker.metrics_port", "65536"),
        ("worker.metrics_port", "-1"),
        ("worker.clock", '"wall"'),
        ("worker.clock", "1979-05-27"),
        ("worker.log_level", '"loud"'),
        ("dead_letters.max_in_a_row", "0"),
        ("dead_letters.max_in_a_row", "1000000001"),
        ("dead_letters.max_share", "5"),
        ("dead_letters.max_share", "-0.1"),
        ("cart_abandonment.idle_s", "0"),
        ("cart_abandonment.idle_s", "604801"),
        ("cart_abandonment.steps_s", "[]"),
        ("cart_abandonment.steps_s", "[60]"),
        ("cart_abandonment.steps_s", "[0, 60, 60]"),
        ("cart_abandonment.steps_s", "[0, 1.5]"),
        ("cart_abandonment.steps_s", "[0, 99999999999]"),
        ("cart_abandonment.steps_s", "0"),
        ("cart_abandonment.min_value_minor", "-1"),
        ("cart_abandonment.max_age_s", "0"),
        ("exit_intent.min_dwell_ms", "-1"),
        ("exit_intent.cooldown_s", "-1"),
        ("session.idle_s", "0"),
        ("learning.horizon_s", "0"),
        ("holdout.fraction", "1.1"),
        ("holdout.fraction", "-0.1"),
        ("holdout.fraction", "nan"),
        ("holdout.fraction", "true"),
        ("holdout.salt", '""'),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_file_and_setting(written, setting, text):
    section, name = setting.split(".")
    file = written(f"[{section}]\n{name} = {text}\n")
    assert refusal(file).startswith(f"{file}: {setting}: ")


def test_a_refusal_says_what_was_given_and_what_is_allowed(written):
    file = written("[worker]\nmetrics_port = 70000\n")
    assert refusal(file) == (
        f"{file}: worker.metrics_port: 70000 is not a port from 0 to 65535 (0 takes any free one)"
    )
    assert refusal(CARTWAKE_WORKER__CLOCK="wall") == (
        'CARTWAKE_WORKER__CLOCK: worker.clock: "wall" is not one of live, records'
    )
    assert refusal(CARTWAKE_CART_ABANDONMENT__STEPS_S="[60]") == (
        "CARTWAKE_CART_ABANDONMENT__STEPS_S: cart_abandonment.steps_s: steps_s must start with 0"
        " and rise"
    )
    assert refusal(CARTWAKE_CART_ABANDONMENT__IDLE_S="soon\nish") == (
        r'CARTWAKE_CART_ABANDONMENT__IDLE_S: cart_abandonment.idle_s: "soon\nish"'
        " is not a whole number of seconds from 1 to 604800"
    )


def test_a_refusal_shows_only_the_beginning_of_what_is_long():
    assert len(refusal(CARTWAKE_SESSION__IDLE_S="9" * 5000)) < 250


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[worker]\ngruop = 'a'", "there is no setting worker.gruop; the nearest is worker.group"),
        ("[worker]\npartitions = 1", "no setting worker.partitions; the nearest is kafka.part"),
        ("[cart-abandonment]\n", "no section [cart-abandonment]; the nearest is [cart_abandonmen"),
        ("min_dwell = 3", "min_dwell stands outside a section; the nearest is exit_intent.min_dw"),
        ("kafka = 'localhost'", "kafka stands outside a section; the nearest is kafka."),
        ("[kafka.sasl]\nusername = 1", "no setting kafka.sasl; the nearest is kafka.s"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(written, text, expected):
    file = written(text)
    message = refusal(file)
    assert message.startswith(f"{file}: ")
    assert expected in message


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("CARTWAKE_WORKER__CLOCKS", "CARTWAKE_WORKER__CLOCK"),
        ("CARTWAKE_WORKR__CLOCK", "CARTWAKE_WORKER__CLOCK"),
        ("CARTWAKE_KAFKA__SASL__USERNAME", "CARTWAKE_KAFKA__SASL_USERNAME"),
        ("CARTWAKE___", "CARTWAKE_"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(variable, nearest):
    message = refusal(**{variable: "live"})
    assert message.startswith(f"{variable}: there is no such setting; the nearest is {nearest}")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    missing = tmp_path / "missing.toml"
    assert refusal(missing) == f"{missing}: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert refusal(CARTWAKE_CONFIG=str(missing)).startswith(f"{missing}: ")


def test_a_file_that_is_not_toml_is_named_with_the_line(written):
    file = written("[worker]\nclock = live\n")
    message = refusal(file)
    assert message.startswith(f"{file}: is not TOML: ")
    assert "line 2" in message


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"a = " + b"9" * 9999])
def test_a_file_of_anything_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "cartwake.toml"
    file.write_bytes(content)
    assert "is not TOML" in refusal(file)


SIGNED_IN = {
    "CARTWAKE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "CARTWAKE_KAFKA__SASL_USERNAME": "worker",
    "CARTWAKE_REDIS__URL": "rediss://worker:hunter2@cache:6379/0?password=hunter2",
}


def test_no_secret_is_ever_shown():
    settings = load(None, SIGNED_IN | {"CARTWAKE_KAFKA__SASL_PASSWORD": "hunter2"})
    assert settings.kafka.sasl_password == "hunter2"
    assert settings.redis.address == "rediss://***@cache:6379/0?password=***"
    for shown in (repr(settings), str(settings), f"{settings.redis}", pretty_repr(settings)):
        assert "hunter2" not in shown
        assert "cache:6379" in shown


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kafka.sasl_password", 424242),
        ("redis.password", 424242),
        ("redis.url", "http://:424242@cache"),
        ("redis.url", "redis://:42/4242@cache"),
        ("redis.url", "cache?password=424242"),
        ("redis.url", ["redis://:424242@cache"]),
        ("emailer.directory", 424242),
        ("emailer.directory_token", ["424242"]),
        ("emailer.smtp_password", 424242),
    ],
)
def test_a_secret_is_not_shown_when_it_is_refused(written, setting, value):
    section, name = setting.split(".")
    message = refusal(written(f"[{section}]\n{name} = {json.dumps(value)}\n"))
    assert setting in message
    assert "4242" not in message


# Each of them holds "hunter2", and is refused.
WRONG_SECRETS = [
    ("edge.keys", [{"key": "hunter2", "kind": "browser"}]),
    ("edge.keys", [{"key": "hunter2", "kind": "server"}] * 2),
    ("edge.keys", [{"key": "ok", "kind": "server", "hunter2": 1}]),
    ("edge.keys", {"key": "hunter2"}),
    ("edge.signing_keys", ["hunter2", ""]),
    ("edge.signing_keys", "hunter2"),
    ("edge.hooks", [{"vendor": "hunter2", "secret": "hunter2"}]),
    ("edge.hooks", [{"vendor": "shopify", "secret": "hunter2" * 99}]),
    # A signature would say nothing about the shop.
    ("edge.hooks", [{"vendor": "shopify", "tenant": one, "secret": "hunter2"} for one in "ab"]),
    (
        "edge.hooks",
        [
            {"vendor": "shopify", "tenant": one, "secret": "hunter2", "domain": f"{domain}.example"}
            for one, domain in zip("ab", ("tea", "tea"), strict=True)
        ],
    ),
    (
        "edge.hooks",
        [
            {"vendor": "shopify", "tenant": "a", "secret": "hunter2", "domain": "tea.example"},
            {"vendor": "shopify", "tenant": "b", "secret": "hunter2"},
        ],
    ),
    ("edge.hooks", [{"vendor": "ga4", "secret": "hunter2", "domain": "tea.example"}]),
    ("edge.hooks", [{"vendor": "shopify", "secret": "hunter2", "domain": "https://tea.example"}]),
    ("webhooks.endpoints", [{"name": "crm", "url": "https://crm", "secrets": ["hunter2"]}]),
    ("webhooks.endpoints", [{"name": "crm", "url": "https://u:hunter2@crm", "secrets": []}]),
]


@pytest.mark.parametrize(("setting", "value"), WRONG_SECRETS)
def test_nothing_of_a_secret_is_shown_whatever_it_is(setting, value):
    assert setting in SECRETS
    variable = f"CARTWAKE_{setting.replace('.', '__').upper()}"
    message = refusal(**{variable: json.dumps(value)})
    assert message.startswith(f"{variable}: {setting}: what is given is not ")
    assert "hunter2" not in message


def test_the_passwords_may_stand_in_files(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    settings = load(
        None,
        SIGNED_IN
        | {
            "CARTWAKE_KAFKA__SASL_PASSWORD_FILE": str(file),
            "CARTWAKE_REDIS__URL": "rediss://worker@cache:6379/0",
            "CARTWAKE_REDIS__PASSWORD_FILE": str(file),
        },
    )
    assert settings.kafka.sasl_password == settings.redis.password == "hunter2"
    for shown in (repr(settings), pretty_repr(settings), settings.redis.address):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("edge.keys", [{"key": "hunter2", "kind": "server"}]),
        ("edge.signing_keys", ["hunter2", "hunter1"]),
        ("edge.hooks", [{"vendor": "shopify", "secret": "hunter2"}]),
        ("webhooks.endpoints", [{"name": "a", "url": "https://a", "secrets": ["whsec_AAAA"]}]),
        ("emailer.directory_token", "hunter2"),
    ],
)
def test_a_secret_in_a_file_is_that_of_a_variable(tmp_path, setting, value):
    file, variable = tmp_path / "secret", f"CARTWAKE_{setting.replace('.', '__').upper()}"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    loaded = load(None, {f"{variable}_FILE": str(file)})
    section, name = setting.split(".")
    assert getattr(loaded, section).model_dump() == {
        **getattr(load(None, {variable: file.read_text()}), section).model_dump(),
        f"{name}_file": str(file),
    }
    assert "hunter2" not in repr(loaded)
    both = {variable: file.read_text(), f"{variable}_FILE": str(file)}
    assert f"{setting} and {setting}_file exclude each other" in refusal(**both)


@pytest.mark.parametrize("content", ["hunter2", '["hunter2"', '[{"key": "hunter2"}]', "{}", '""'])
def test_a_list_in_a_file_that_is_none_is_refused_without_being_shown(tmp_path, content):
    file = tmp_path / "keys.json"
    file.write_text(content)
    message = refusal(CARTWAKE_EDGE__KEYS_FILE=str(file))
    assert message.startswith("edge.keys_file: what is given is not a list of different {key")
    assert "hunter2" not in message


def test_a_password_file_that_holds_none_is_named(tmp_path):
    file = tmp_path / "password"
    variable = {"CARTWAKE_KAFKA__SASL_PASSWORD_FILE": str(file)}
    expected = f"kafka.sasl_password_file: {file} "
    assert (
        refusal(**SIGNED_IN, **variable) == expected + "cannot be read: No such file or directory"
    )
    for content in (b"", b"\n", b"\xff"):
        file.write_bytes(content)
        assert refusal(**SIGNED_IN, **variable).startswith(expected)


def test_two_passwords_for_redis_are_one_too_many(tmp_path):
    both = {
        "CARTWAKE_REDIS__PASSWORD": "a",
        "CARTWAKE_REDIS__PASSWORD_FILE": str(tmp_path / "b"),
    }
    assert "redis.password and redis.password_file exclude each other" in refusal(**both)


def test_two_passwords_are_one_too_many(tmp_path):
    both = {
        "CARTWAKE_KAFKA__SASL_PASSWORD": "a",
        "CARTWAKE_KAFKA__SASL_PASSWORD_FILE": str(tmp_path / "b"),
    }
    assert "exclude each other" in refusal(**SIGNED_IN, **both)


@pytest.mark.parametrize(
    ("section", "needed"),
    [
        ("kafka", {"CARTWAKE_KAFKA__SECURITY_PROTOCOL": "SSL"}),
        ("redis", {"CARTWAKE_REDIS__URL": "rediss://cache"}),
    ],
)
def test_a_certificate_authority_is_looked_for_at_once(tmp_path, section, needed):
    file = tmp_path / "ca.pem"
    environ = needed | {f"CARTWAKE_{section.upper()}__SSL_CAFILE": str(file)}
    assert refusal(**environ).startswith(f"{section}.ssl_cafile: {file} cannot be read")
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    assert getattr(load(None, environ), section).ssl_cafile == str(file)
