import pytest
from starlette.testclient import TestClient

from stream.config.settings import EdgeSettings, EmailerSettings, Settings
from stream.emailer import preview
from stream.emailer.preview import build
from stream.errors import UsageError

SETTINGS = {"sender": "Tea <hello@shop.example>", "public_url": "https://events.shop.example"}


def page(**emailer):
    settings = Settings(
        edge=EdgeSettings(signing_keys=("a key",)), emailer=EmailerSettings(**SETTINGS | emailer)
    )
    return TestClient(build(settings)).get("/")


def test_all_mails_are_shown_with_their_text():
    text = page().text
    assert "You left something in your cart" in text
    assert "Ihr Warenkorb ist noch da" in text
    assert text.count(': HTML"') == text.count(': text"') == 7


def test_a_template_is_read_anew_each_time_and_says_what_is_wrong_with_it(tmp_path):
    own = tmp_path / "cart_abandonment"
    own.mkdir()
    (own / "subject.txt").write_text("Mine")
    assert "<h2>Mine</h2>" in page(templates=str(tmp_path)).text
    (own / "subject.txt").write_text("{{ mine }}")
    answer = page(templates=str(tmp_path))
    assert answer.status_code == 500
    assert "subject.txt" in answer.text


def test_a_mail_cannot_run_anything_in_the_preview():
    assert page().text.count("<iframe sandbox ") == 14


def test_without_a_key_for_its_links_it_does_not_begin():
    with pytest.raises(UsageError, match=r"edge\.signing_keys is empty"):
        preview.run(Settings(emailer=EmailerSettings(**SETTINGS)))
