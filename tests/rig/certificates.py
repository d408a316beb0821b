"""Certificates for servers on loopback, made by ``openssl`` while the tests run.

The one rule: nobody else trusts them, and their keys lie in the run's own folder alone.
"""

import shutil
import subprocess
from pathlib import Path

from tests.rig.processes import LOOPBACK, Unavailable

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
DAYS = ("-days", "30")
SERVER = f"""\
subjectAltName=DNS:localhost,IP:{LOOPBACK}
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


class Certificates:
    """An authority (``ca``) and a server's certificate that it has signed, as PEM files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        # Both in one file, as Kafka wants them.
        self.pair = folder / "pair.pem"
        self._make(folder / "ca.key", folder / "server.csr", folder / "server.ext")

    def _make(self, ca_key: Path, request: Path, extensions: Path) -> None:
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        new_ca = ("-subj", "/CN=rig", "-keyout", str(ca_key), "-out", str(self.ca))
        _openssl("req", "-x509", *KEY, *DAYS, *usage, *new_ca)
        new_key = ("-subj", "/CN=server", "-keyout", str(self.key), "-out", str(request))
        _openssl("req", "-new", *KEY, *new_key)
        extensions.write_text(SERVER)
        signed_by = ("-CA", str(self.ca), "-CAkey", str(ca_key), "-CAcreateserial")
        told = ("-in", str(request), "-extfile", str(extensions), "-out", str(self.certificate))
        _openssl("x509", "-req", *DAYS, *signed_by, *told)
        self.pair.write_text(self.key.read_text() + self.certificate.read_text())


def _openssl(*arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise Unavailable("no openssl on PATH to make certificates with")
    subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
