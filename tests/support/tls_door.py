"""Takes TLS off connections and passes them on.

`python tls_door.py FOLDER HOST PORT TO_HOST TO_PORT`: the folder has its certificate and key. It
also runs inside a container, so it imports nothing of the project.
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


async def main(folder: str, host: str, port: str, to_host: str, to_port: str) -> None:
    """Serve until the process ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside_reader, inside_writer = await asyncio.open_connection(to_host, to_port)
        await asyncio.gather(pass_on(reader, inside_writer), pass_on(inside_reader, writer))

    server = await asyncio.start_server(enter, host, port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
