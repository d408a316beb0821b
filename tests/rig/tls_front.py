"""A TLS front for a server that cannot do TLS itself: carries bytes and changes none.

``python -m tests.rig.tls_front PORT TARGET_PORT CERTIFICATE KEY`` runs it.
"""

import asyncio
import contextlib
import ssl
import sys
from asyncio import StreamReader, StreamWriter

from tests.rig.processes import LOOPBACK


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, target: int, certificate: str, key: str) -> None:
    """Listen until the program is ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection(LOOPBACK, target)
        except OSError:  # the server behind it is away
            writer.close()
            return
        await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

    server = await asyncio.start_server(carry, LOOPBACK, port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
