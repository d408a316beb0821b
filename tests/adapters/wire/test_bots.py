import crawleruseragents
import pytest

from stream.adapters.wire import bots

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
CUBOT_PHONE = (
    "Mozilla/5.0 (Linux; Android 10; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Mobile Safari/537.36"
)


@pytest.fixture(autouse=True)
def nothing_remembered():
    bots._is_listed.cache_clear()


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36",
        "python-requests/2.32",
    ],
)
def test_what_calls_itself_a_robot_is_one(user_agent):
    assert bots.is_bot(user_agent)


@pytest.mark.parametrize("user_agent", [CHROME, IPHONE, CUBOT_PHONE, "", "Lieferbote 😀"])
def test_a_shopper_is_not_a_robot(user_agent):
    assert not bots.is_bot(user_agent)


def test_the_list_is_searched_once_for_many_of_the_same(monkeypatch):
    searched = []
    monkeypatch.setattr(bots, "is_crawler", lambda agent: bool(searched.append(agent)))
    for _ in range(3):
        bots.is_bot(CHROME)
    assert searched == [CHROME]


def test_what_strangers_send_takes_bounded_memory(monkeypatch):
    searched = []
    monkeypatch.setattr(bots, "is_crawler", lambda agent: bool(searched.append(len(agent))))
    for n in range(bots.REMEMBERED + 10):
        bots.is_bot(f"{n} ".ljust(2000, "x"))
    assert max(searched) == bots.LOOKED_AT_CHARACTERS
    assert bots._is_listed.cache_info().currsize == bots.REMEMBERED


def test_every_example_of_the_list_is_recognised():
    instances = [
        agent
        for crawler in crawleruseragents.CRAWLER_USER_AGENTS_DATA
        for agent in crawler["instances"]
        if len(agent) <= bots.LOOKED_AT_CHARACTERS
    ]
    assert len(instances) > 1000
    assert [agent for agent in instances if not bots.is_bot(agent)] == []
