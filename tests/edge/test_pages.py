import json

import pytest

from stream.config.settings import EdgeSettings
from stream.edge import script
from stream.edge.visitors import COOKIE, TICKET_S, VerifiedVisitor, Visitors
from tests.edge.shop import BROWSER, EDGE, ORIGIN, OTHER_ORIGIN, SERVER, SIGNING, Shop, basic


@pytest.fixture
def shop():
    return Shop()


def asked(shop, headers=None, **params):
    return shop.client.get("/v1/visitor", params=params, headers=headers or {"Origin": ORIGIN})


def test_a_new_visitor_gets_a_signed_id_and_the_cookie(shop):
    answer = asked(shop, writeKey=BROWSER)
    told = answer.json()
    assert Visitors(SIGNING).verify(told["signed"], ["tea"]).visitor == told["visitor"]
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}={told['signed']};")
    assert "Secure" in cookie
    assert "SameSite=lax" in cookie
    assert "HttpOnly" not in cookie
    assert answer.headers["cache-control"] == "no-store"


def test_a_known_visitor_keeps_the_id_and_gets_todays_signature(shop):
    old = Visitors(SIGNING[1:]).sign("tea", "4f2a")
    told = asked(shop, writeKey=BROWSER, visitor=old).json()
    assert told == {"visitor": "4f2a", "signed": Visitors(SIGNING).sign("tea", "4f2a")}


def test_a_cookie_is_renewed_and_an_unreadable_one_replaced(shop):
    renewed = asked(shop, {"Origin": ORIGIN, "Cookie": f"{COOKIE}={shop.signed}"})
    assert renewed.json()["visitor"] == shop.visitor
    assert asked(shop, {"Origin": ORIGIN, "Cookie": f"{COOKIE}=v1.x"}).json()["visitor"] != "v1"


@pytest.mark.parametrize("path", ["/v1/visitor", "/v1/actions?poll=1"])
def test_no_route_has_python_read_a_cookie(shop, monkeypatch, path):
    monkeypatch.setattr("http.cookies._unquote", lambda _: pytest.fail("takes quadratic time"))
    cookies = f'a="{chr(92) * 20_000}"; {COOKIE}=v1.x; {COOKIE}={shop.signed}'
    assert shop.client.get(path, headers={"Origin": ORIGIN, "Cookie": cookies}).status_code == 200


@pytest.mark.parametrize("forged", ["v1", "v1.x", Visitors(SIGNING).sign("bike", "v1"), ""])
def test_a_forged_id_is_refused(shop, forged):
    assert asked(shop, writeKey=BROWSER, visitor=forged).status_code == 403


def test_the_shop_is_the_keys_or_the_pages(shop):
    for headers, params in (
        ({"Origin": OTHER_ORIGIN}, {}),
        ({"Origin": OTHER_ORIGIN}, {"writeKey": "bike-page"}),
        (basic("bike-page"), {}),
        (basic("bike-server-secret"), {}),
    ):
        signed = asked(shop, headers, **params).json()["signed"]
        assert Visitors(SIGNING).verify(signed, ["bike"])


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"Host": "edge.example"}, {}, 401),
        ({"Origin": "https://evil.example"}, {}, 401),
        ({"Origin": "https://evil.example"}, {"writeKey": BROWSER}, 403),
        ({"Origin": ORIGIN}, {"writeKey": "unknown"}, 401),
        ({"Origin": ORIGIN}, {"writeKey": SERVER}, 401),
    ],
)
def test_who_names_no_shop_gets_no_id(shop, headers, params, status):
    assert asked(shop, headers, **params).status_code == status


def test_where_there_is_one_shop_it_need_not_be_named():
    keys = tuple(key for key in EDGE.keys if key.tenant == "tea")
    shop = Shop(EdgeSettings(keys=keys, signing_keys=SIGNING))
    assert asked(shop, {"Host": "edge.example"}).status_code == 200


def test_the_script_is_kept_for_ever_under_its_hash_and_checked_without(shop):
    plain = shop.client.get("/cartwake.js")
    assert plain.content == script.source()
    assert plain.headers["content-type"].startswith("text/javascript")
    assert "must-revalidate" in plain.headers["cache-control"]
    pinned = shop.client.get("/cartwake.js", params={"v": script.digest()})
    assert "immutable" in pinned.headers["cache-control"]
    tag = {"If-None-Match": plain.headers["etag"]}
    again = shop.client.get("/cartwake.js", headers=tag)
    assert (again.status_code, again.content) == (304, b"")


def test_it_is_alive_without_kafka_and_not_ready(shop):
    assert shop.client.get("/readyz").status_code == 200
    shop.log.is_up = False
    assert shop.client.get("/healthz").status_code == 200
    assert shop.client.get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/", "/v1/nothing", "/metrics", "/v1/hooks/"])
def test_nothing_else_is_served(shop, path):
    assert shop.client.get(path).status_code == 404


def test_pages_ask_before_they_send_what_needs_asking(shop):
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    assert shop.client.options("/v1/batch", headers=headers).status_code == 200
    foreign = headers | {"Origin": "https://evil.example"}
    assert shop.client.options("/v1/batch", headers=foreign).status_code == 400


def test_only_a_signed_id_opens_its_actions(shop):
    def polled(**params):
        return shop.client.get("/v1/actions", params={"poll": "1"} | params)

    assert polled(visitor=shop.signed).json() == {"actions": [], "cancelled": []}
    for forged in (shop.visitor, shop.signed + "x", ""):
        assert polled(visitor=forged).status_code == 403
    shop.hub.close()
    closed = shop.client.get("/v1/actions", params={"visitor": shop.signed})
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "5")


LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
OWN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}


@pytest.mark.parametrize(
    ("headers", "is_set"),
    [
        ({"Origin": ORIGIN}, True),
        (OWN, True),
        ({"Referer": f"{ORIGIN}/cart"}, True),
        (LINK, False),
        (LINK | {"Sec-Fetch-Site": "none"}, False),
        (LINK | {"Sec-Fetch-Site": "same-site"}, False),
        (LINK | {"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        (LINK | {"Referer": f"{ORIGIN}/cart"}, False),
        ({"Referer": "https://evil.example/"}, False),
        ({"Referer": f"https://evil.example/{ORIGIN}/"}, False),
        ({"Referer": "https://tea.example.evil.example/"}, False),
        ({"Referer": "https://evil.example@[/"}, False),
        ({"Referer": OTHER_ORIGIN}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("names", [True, False])
def test_only_the_shops_own_pages_have_a_visitors_cookie_set(shop, headers, is_set, names):
    params = {"writeKey": BROWSER} | ({"visitor": shop.signed} if names else {})
    answer = shop.client.get("/v1/visitor", params=params, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, is_set)


def test_an_id_that_another_site_names_is_not_the_shoppers(shop):
    foreign = Visitors(SIGNING).issue("tea")
    shop.client.get(
        "/v1/visitor", params={"writeKey": BROWSER, "visitor": foreign[1]}, headers=LINK
    )
    assert asked(shop, writeKey=BROWSER).json()["visitor"] != foreign[0]


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("events.tea.example", "tea.example"),
        ("tea.example", "tea.example"),
        ("events.bike.example", None),
        ("eviltea.example", None),
    ],
)
def test_the_hosts_of_a_domain_share_a_visitor(host, domain):
    shop = Shop(EDGE.model_copy(update={"cookie_domain": "tea.example"}))
    headers = {"Origin": ORIGIN, "Host": host}
    given = asked(shop, headers, writeKey=BROWSER).headers["set-cookie"]
    assert (f"Domain={domain};" in given) == (domain is not None)
    refusal = {"type": "erasure_requested", "id": "c1", "visitor": shop.signed, "at_ms": 1}
    removed = shop.page([refusal], headers).headers.get_list("set-cookie")
    assert [f"Domain={domain};" in one for one in removed] == ([False, True] if domain else [False])


def introduced(shop, given, **headers):
    body = given if isinstance(given, bytes) else json.dumps(given)
    headers = {"Origin": ORIGIN, "Content-Type": "text/plain"} | headers
    return shop.client.post(
        "/v1/visitor", params={"writeKey": BROWSER}, content=body, headers=headers
    )


def test_a_page_gets_a_ticket_for_its_stream_and_names_its_visitor_in_the_body(shop):
    answer = introduced(shop, {"visitor": shop.signed})
    told = answer.json()
    assert (told["visitor"], told["signed"]) == (shop.visitor, shop.signed)
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}={shop.signed};")
    cookie = f"{COOKIE}={shop.signed}"
    assert introduced(Shop(), {}, Cookie=cookie).json()["visitor"] == shop.visitor
    assert introduced(Shop(), {}).json()["visitor"] != shop.visitor


@pytest.mark.parametrize(
    ("given", "status"),
    [({"visitor": "v1.x"}, 403), (b"", 400), (b"[]", 400), (b'{"visitor": "' + b"x" * 2000, 413)],
)
def test_a_body_that_names_no_visitor_is_refused(shop, given, status):
    assert introduced(shop, given).status_code == status
    assert introduced(shop, {}, Origin="https://evil.example").status_code == 403


def test_a_ticket_opens_its_visitors_actions_for_minutes(shop):
    ticket = introduced(shop, {"visitor": shop.signed}).json()["ticket"]

    def polled(**params):
        return shop.client.get("/v1/actions", params={"poll": "1"} | params).status_code

    assert polled(ticket=ticket) == 200
    for forged in (shop.signed, ticket + "x", "9" + ticket, "x"):
        assert polled(ticket=forged) == 403
    assert polled(visitor=ticket) == 403
    assert shop.page([shop.viewed(visitor=ticket)]).status_code == 403
    shop.now_ms += TICKET_S * 1000
    assert polled(ticket=ticket) == 403
    assert polled(visitor=shop.signed) == 200


def test_a_ticket_of_a_long_id_is_valid():
    visitors = Visitors(SIGNING)
    longest = VerifiedVisitor("tea", "v" * 84)
    assert visitors.verify(visitors.sign(*longest), ["tea"]) == longest
    assert visitors.verify_ticket(visitors.ticket(longest, 0), ["tea"], 1) == longest
