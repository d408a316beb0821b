"""Pages with browsers' clients: bundled as a shop bundles them, and served at the keys' origin."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.clients.installed import node_modules
from tests.clients.programs import EXAMPLES, Example, finished
from tests.rig.processes import LOOPBACK


class Pages(ThreadingHTTPServer):
    """Serves one text for each path, and ``/NAME/...`` as the shop with the client ``NAME``."""

    def __init__(self, port: int) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.origin = f"http://{LOOPBACK}:{port}"
        self.texts: dict[str, str] = {}

    def add(self, name: str, script: str) -> str:
        """Return the address of the shop with a client that is bundled already."""
        self.texts[f"/{name}.js"] = script
        shop = (EXAMPLES / "shop.html").read_text()
        self.texts[f"/{name}/"] = shop.replace("CLIENT.js", f"/{name}.js")
        return f"{self.origin}/{name}/"


class _Handler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        folder = "/".join([*path.split("/")[:2], ""])
        text = self.server.texts.get(path, self.server.texts.get(folder))
        self.send_response(404 if text is None else 200)
        kind = "javascript" if path.endswith(".js") else "html"
        self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served_pages(port: int) -> Iterator[Pages]:
    """Serve pages on a port."""
    pages = Pages(port)
    threading.Thread(target=pages.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield pages
    finally:
        pages.shutdown()
        pages.server_close()


def bundled(name: str, folder: Path, edge: str, changes: Mapping[str, str]) -> str:
    """Return an example with all that it imports, as one script."""
    text = Example(name).addressed(edge)
    for old, new in changes.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    (folder / name).write_text(text)
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(node_modules())
    esbuild = str(link / "esbuild" / "bin" / "esbuild")
    made = folder / f"made-{name}"
    finished([esbuild, str(folder / name), "--bundle", "--log-level=error", f"--outfile={made}"])
    return made.read_text()
