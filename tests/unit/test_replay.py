"""The replay over HTTP ends, whatever happens to its riders."""

from __future__ import annotations

import socket
import struct
import threading
from http.client import HTTPException
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.model import Location
from tests.load.bench import city as city_module
from tests.load.bench.calling import Caller
from tests.load.bench.city import City
from tests.load.bench.nyc import NycTrip
from tests.support.stack import Stack

TRIP = NycTrip(0.0, 60.0, Location(40.72, -74.0), Location(40.73, -73.99))


@pytest.fixture
def city() -> City:
    mint = SimpleNamespace(machine_token=lambda: "token")
    stack = SimpleNamespace(
        port=1,
        mint=mint,
        rider_token=lambda subject: subject,
        unicorn_token=lambda subject: subject,
        admin_token=lambda: "token",
    )
    return City(cast(Stack, stack), compress=1e6)


def test_a_rider_whose_step_fails_in_an_unexpected_way_is_not_waited_for(city: City) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("unicorn")

    city.call = broken  # type: ignore[assignment]
    city.play([(0.0, TRIP), (0.0, TRIP)])
    city.close()
    assert city.faults == ["KeyError('unicorn')"] * 2


def test_each_rider_has_an_account_of_its_own(city: City) -> None:
    """Repositioning counts an account once in a quarter of an hour, however often it asks."""
    tokens: list[str] = []

    def refuse(method: str, path: str, token: str, *_: object, **__: object) -> None:
        tokens.append(token)
        raise HTTPException("refused")

    city.call = refuse  # type: ignore[assignment]
    city.play([(0.0, TRIP)] * 60)
    city.close()
    assert len(set(tokens)) == 60


def test_a_replay_reports_each_position_once_in_a_period(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(city_module, "REPORT_SECONDS", 3600.0)
    bulks: list[object] = []

    def note(method: str, path: str, token: str, body: object = None, **_: object) -> None:
        if path == "/v1/fleet/positions":
            bulks.append(body)
        if path == "/v1/rides":
            raise HTTPException("refused")

    city.call = note  # type: ignore[assignment]
    city.enroll([TRIP.pickup])
    city.play([(0.0, TRIP)])
    city.close()
    assert len(bulks) == 1


def test_a_connection_that_was_cut_is_opened_again() -> None:
    """Gunicorn closes idle connections, at times by a reset. One such reset must not make every
    later call of the thread fail."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=cut_then_answer, args=(listener,))
        server.start()
        call = Caller(listener.getsockname()[1], connections=1)
        assert call("GET", "/", "token") == {"calls": 2}
        server.join()


def cut_then_answer(listener: socket.socket) -> None:
    first, _ = listener.accept()
    first.recv(1 << 16)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    first.close()  # with this option, as a reset
    second, _ = listener.accept()
    with second:
        second.recv(1 << 16)
        second.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"calls":2}')


def test_a_replay_with_a_rider_who_is_never_done_says_so(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        """The rider's step ends without a ride, as if its unicorn were lost."""

    monkeypatch.setattr(city_module, "LEAST_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(city, "_request", silent)
    city.call = silent  # type: ignore[assignment]
    with pytest.raises(TimeoutError, match="1 of 1 riders are not done"):
        city.play([(0.0, TRIP)])
    city.close()
