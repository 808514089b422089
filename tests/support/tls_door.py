"""Takes TLS off connections and passes them on: `python tls_door.py PORT HOST BEHIND`.

Runs inside a container, with its certificate in /tls.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import suppress


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends or either side breaks; then close the target."""
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


async def main(port: int, host: str, behind: int) -> None:
    """Serve until the process ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/certificate.pem", "/tls/key.pem")

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside_reader, inside_writer = await asyncio.open_connection(host, behind)
        await asyncio.gather(pass_on(reader, inside_writer), pass_on(inside_reader, writer))

    server = await asyncio.start_server(enter, "0.0.0.0", port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
