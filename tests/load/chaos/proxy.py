"""A TCP door that stands for a name: `python -m tests.load.chaos.proxy PORT UPSTREAM CONTROL`.

Orders, one a line on the control port, each answered by a line:

- `hole SECONDS`: everything is accepted and nothing is passed on; after that all of it is.
- `half_open`: links that exist stay open at the client's end and are dead; new ones work.
- `lead PORT`: new links go to this port; those that exist stay, as clients of a name keep theirs.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.local.emulators import listens
from service.local.processes import Process, Program
from tests.support.infrastructure import PROJECT, free_port, wait_until

HOST = "127.0.0.1"


@dataclass(eq=False)
class Link:
    """A client's connection and the connection to the server that was made for it."""

    client: StreamWriter
    upstream: StreamWriter
    dead: bool = False


class Proxy:
    """Forwards bytes in both directions, unless an order changes that."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._open = asyncio.Event()
        self._open.set()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._open.wait()
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, self._upstream_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, up_writer)
        self._links.add(link)
        there = self._pump(link, reader, up_writer)
        back = self._pump(link, up_reader, writer)
        await asyncio.gather(there, back)
        self._links.discard(link)

    async def obey(self, reader: StreamReader, writer: StreamWriter) -> None:
        while line := await reader.readline():
            match line.decode().split():
                case ["hole", seconds]:
                    task = asyncio.create_task(self._hole(float(seconds)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case ["half_open"]:
                    self._break_links()
                case ["lead", port]:
                    self._upstream_port = int(port)
            writer.write(b"done\n")

    async def _hole(self, seconds: float) -> None:
        self._open.clear()
        await asyncio.sleep(seconds)
        self._open.set()

    def _break_links(self) -> None:
        for link in self._links:
            link.dead = True
            link.upstream.transport.abort()

    async def _pump(self, link: Link, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                if not link.dead:
                    writer.write(data)
                    await writer.drain()
        if link.dead and writer is link.client:
            return  # the upstream is gone, and the client must not learn of it
        for end in (link.client, link.upstream):
            end.transport.abort()


class Remote:
    """Sends orders to a running proxy."""

    def __init__(self, control_port: int) -> None:
        self._port = control_port

    def order(self, line: str) -> None:
        asyncio.run(self._order(line))

    async def _order(self, line: str) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        writer.write(f"{line}\n".encode())
        await reader.readline()
        writer.close()


@contextmanager
def running(port: int, upstream_port: int, folder: Path) -> Iterator[Remote]:
    """Run a proxy in a separate process while the context lasts."""
    control_port = free_port()
    ports = (port, upstream_port, control_port)
    process = Process(
        Program(
            name="proxy",
            command=[sys.executable, "-m", "tests.load.chaos.proxy", *map(str, ports)],
            environment={},
            folder=PROJECT,
            log=folder / "proxy.log",
        )
    )
    try:
        wait_until(lambda: listens(control_port), "start of the proxy")
        yield Remote(control_port)
    finally:
        process.sweep()


async def _main(port: int, upstream_port: int, control_port: int) -> None:
    proxy = Proxy(upstream_port)
    server = await asyncio.start_server(proxy.serve, HOST, port)
    control = await asyncio.start_server(proxy.obey, HOST, control_port)
    await asyncio.gather(server.serve_forever(), control.serve_forever())


if __name__ == "__main__":
    asyncio.run(_main(*map(int, sys.argv[1:])))
