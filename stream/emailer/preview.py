"""``cartwake emailer --preview``: shows the mails in a browser, on loopback; none is sent.

Templates are read again for each page, so that a change is visible at once.
"""

from html import escape
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from stream.config.settings import Settings
from stream.emailer.samples import samples
from stream.emailer.serve import composer_of
from stream.errors import CartwakeError

HOST: Final = "127.0.0.1"
PORT: Final = 8026
STYLE: Final = (
    "body{font:16px sans-serif;margin:2rem}iframe{border:1px solid #ccc;width:46%;height:40rem}"
    "iframe+iframe{margin-left:2%}"
)


def build(settings: Settings) -> Starlette:
    """Return the pages: all mails beside their text, and each part alone."""

    def index(_: Request) -> Response:
        try:
            mails = [composer_of(settings).content(*sample) for sample in samples()]
        except CartwakeError as error:
            return PlainTextResponse(str(error), 500)
        parts = (
            f"<h2>{escape(mail.subject)}</h2>"
            f'<iframe sandbox srcdoc="{escape(mail.html)}" title="HTML"></iframe>'
            f'<iframe sandbox srcdoc="{escape(f"<pre>{escape(mail.text)}</pre>")}" title="text">'
            "</iframe>"
            for mail in mails
        )
        head = f"<!doctype html><meta charset=utf-8><title>Mails</title><style>{STYLE}</style>"
        return HTMLResponse(head + "".join(parts))

    return Starlette(routes=[Route("/", index)])


def run(settings: Settings) -> int:
    """Show the mails until Ctrl-C.

    Raises
    ------
    UsageError
        No mails can be made by these settings.
    """
    composer_of(settings)
    print(f"Mails: http://{HOST}:{PORT}/")  # noqa: T201 - the command's answer
    uvicorn.run(build(settings), host=HOST, port=PORT, log_level="error")
    return 0
