"""A Redis-protocol server as managed ones are: TLS and a password, no plain port."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.local import emulators
from service.local.processes import Process, Program
from tests.support.infrastructure import RedisServer, wait_until


class TlsRedisServer(RedisServer):
    """Clients reach it at `url` and trust it by `authority` (a PEM file).

    The server itself may be built without TLS, so a thread of the test does that part.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.password = secrets.token_urlsafe(32)
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "certificate.pem"
        key = folder / "key.pem"
        certify(self.authority, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, key)
        self._door = _Door(context, self.port)

    @property
    def url(self) -> str:
        return f"rediss://:{self.password}@{emulators.HOST}:{self._door.port}/0"

    def program(self) -> Program:
        plain = super().program()
        return replace(plain, command=[*plain.command, "--requirepass", self.password])

    def start(self) -> None:
        self._process = Process(self.program())
        wait_until(
            lambda: self.process.exit_code is not None or emulators.listens(self.port),
            "the start of redis with a password",
        )
        assert self.process.exit_code is None, self.process.last_lines()
        self._door.open()

    def stop(self) -> None:
        self._door.close()
        super().stop()


class _Door(socketserver.ThreadingTCPServer):
    """Takes TLS off connections and passes them on."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, behind: int) -> None:
        super().__init__((emulators.HOST, 0), _Passage)
        self.context, self.behind = context, behind
        self.port = int(self.server_address[1])

    def open(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is none of the test's business."""


class _Passage(socketserver.BaseRequestHandler):
    server: _Door

    def handle(self) -> None:
        with (
            self.server.context.wrap_socket(self.request, server_side=True) as outside,
            socket.create_connection((emulators.HOST, self.server.behind)) as inside,
        ):
            back = threading.Thread(target=_pass_on, args=(inside, outside), daemon=True)
            back.start()
            _pass_on(outside, inside)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def certify(certificate: Path, key: Path, *names: str) -> None:
    """Write a certificate of 127.0.0.1 and these host names that signs itself, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-ins of the tests")])
    hosts = [x509.IPAddress(ipaddress.ip_address(emulators.HOST)), *map(x509.DNSName, names)]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
