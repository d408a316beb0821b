"""What a message may quote of a setting."""

import pytest

from stream.config.secrecy import SHOWN, shown, without_login


def test_of_what_is_long_the_beginning_is_shown():
    assert shown(7) == "7"
    assert shown("g" * 500) == f'"{"g" * (SHOWN - 1)}…'


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@cache",
        "redis://:hun/ter2@cache",
        "rediss+cluster://ann:hunter2@a:1,b:2",
        "redis://cache?db=1&password=hunter2",
        "redis://cache?username=hunter2&password=hunter2",
    ],
)
def test_a_url_is_shown_without_its_login(url):
    for told in (without_login(url), shown(url), shown([url])):
        assert "ter2" not in told
        assert "***" in told
