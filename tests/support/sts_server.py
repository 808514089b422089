"""An STS that says what a test wants, over real HTTP, and notes what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.local_server import LocalServer, QuietHandler

ROLE_SESSION = "arn:aws:sts::123456789012:assumed-role/telemetry/session-1"


def identity(arn: str = ROLE_SESSION) -> bytes:
    """STS's own answer, as in its API reference."""
    return f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>{arn}</Arn>
    <UserId>ARO123EXAMPLE123:session-1</UserId>
    <Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>
""".encode()


def refusal(code: str) -> bytes:
    return f"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>No.</Message></Error>
</ErrorResponse>
""".encode()


@dataclass(frozen=True)
class Question:
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class StsServer(LocalServer):
    """A context manager; `status`, `answer` and `headers` may change at any time."""

    status: int = 200
    answer: bytes = field(default_factory=identity)
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        super().__init__(self._handler())

    def release(self) -> None:
        self.may_answer.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sts = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sts.asked.append(Question(self.path, headers, body))
                sts.may_answer.wait()
                self.send_response(sts.status)
                for name, value in sts.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sts.answer)))
                self.end_headers()
                self.wfile.write(sts.answer)

        return Handler
