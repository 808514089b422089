"""A Redis-protocol server as managed ones are: TLS and a password, no plain port."""

from __future__ import annotations

import ipaddress
import secrets
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.local import emulators
from service.local.processes import Process, Program
from tests.support.infrastructure import RedisServer, free_port, wait_until

DOOR: Final = Path(__file__).with_name("tls_door.py")


class TlsRedisServer(RedisServer):
    """Clients reach it at `url` and trust it by `authority` (a PEM file).

    The server itself may be built without TLS, so another process does that part.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.password = secrets.token_urlsafe(32)
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "certificate.pem"
        certify(self.authority, folder / "key.pem")
        self._door_port = free_port()

    @property
    def url(self) -> str:
        return f"rediss://:{self.password}@{emulators.HOST}:{self._door_port}/0"

    def program(self) -> Program:
        plain = super().program()
        return replace(plain, command=[*plain.command, "--requirepass", self.password])

    def start(self) -> None:
        self._process = Process(self.program())
        door = [sys.executable, DOOR, self.folder]
        ends = [emulators.HOST, self._door_port, emulators.HOST, self.port]
        self._door = Process(
            Program(
                name="door",
                command=[str(each) for each in (*door, *ends)],
                environment={},
                folder=self.folder,
                log=self.folder / "door.log",
            )
        )
        for name, port in (("redis with a password", self.port), ("its door", self._door_port)):
            wait_until(lambda port=port: emulators.listens(port), f"the start of {name}")

    def stop(self) -> None:
        self._door.sweep()
        super().stop()


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
