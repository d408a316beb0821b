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
from stream.emailer.compose import MailContent
from stream.emailer.samples import samples
from stream.emailer.serve import composer_of
from stream.errors import CartwakeError

HOST: Final = "127.0.0.1"
PORT: Final = 8026
STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px sans-serif;margin:0 auto;padding:1rem 2rem}"
    "h2{font-size:1.2em}iframe{border:1px solid #8888;width:100%;height:40rem}"
    "section{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr))}"
)
HEAD: Final = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mails</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>"""
# A mail program breaks lines, and shows a plain text in colours of its own.
TEXT: Final = (
    '<html lang="en"><style>:root{{color-scheme:light dark}}'
    "pre{{white-space:pre-wrap;overflow-wrap:anywhere}}</style><pre>{text}</pre>"
)


def build(settings: Settings) -> Starlette:
    """Return the pages: all mails beside their text, and each part alone."""

    def index(_: Request) -> Response:
        try:
            mails = [composer_of(settings).content(*sample) for sample in samples()]
        except CartwakeError as error:
            return PlainTextResponse(str(error), 500)
        shown = "".join(map(_shown, mails))
        return HTMLResponse(f"{HEAD}<body><main><h1>Mails</h1>{shown}</main></body></html>")

    return Starlette(routes=[Route("/", index)])


def _shown(mail: MailContent) -> str:
    text = TEXT.format(text=escape(mail.text))
    frames = (
        f'<iframe sandbox srcdoc="{escape(body)}" title="{escape(mail.subject)}: {kind}"></iframe>'
        for kind, body in (("HTML", mail.html), ("text", text))
    )
    return f"<h2>{escape(mail.subject)}</h2><section>{''.join(frames)}</section>"


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
