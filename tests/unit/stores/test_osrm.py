"""A routing engine's answer is read up to its bound and believed only if it is a table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.stores.osrm import BadAnswer, TableService

TWO, THREE = np.zeros((2, 2)), np.ones((3, 2))
ROWS = [[1, 2, 3], [4, None, 6]]


def an_answer(**changes: Any) -> dict[str, Any]:
    roads = {"sources": [{"distance": 1}] * 2, "destinations": [{"distance": 10}] * 3}
    return {"code": "Ok", "durations": ROWS, "distances": ROWS, **roads, **changes}


class Engine:
    """Gives always the same answer."""

    def __init__(self, answer: object, status: int = 200) -> None:
        self.answer, self.status = json.dumps(answer).encode(), status
        self.most_bytes: list[int] = []

    def request(self, *_: object, most_bytes: int, **__: object) -> tuple[int, bytes]:
        self.most_bytes.append(most_bytes)
        return self.status, self.answer


def service(engine: Engine) -> TableService:
    made = TableService("http://127.0.0.1:1")
    made._outbound = engine  # type: ignore[assignment]
    return made


def test_an_answer_may_have_so_many_bytes_for_each_cell_and_place() -> None:
    engine = Engine(an_answer())
    seconds, metres, gaps = service(engine).table(TWO, THREE, 1)
    assert engine.most_bytes == [4096 + 2 * 6 * 40 + 5 * 2048]
    for table in (seconds, metres):
        assert table == pytest.approx(np.array(ROWS, dtype=np.float64), nan_ok=True)
    assert gaps.tolist() == [[11] * 3] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "NoTable"},
        {"durations": [[1, 2], [3, 4]]},
        {"distances": [[1, 2, 3], [4, -1, 6]]},
        {"durations": [["1", 2, 3], [4, 5, 6]]},
        {"distances": "none"},
        {"durations": [[True, 2, 3], [4, 5, 6]]},
        {"sources": {}},
        {"destinations": None},
    ],
)
def test_anything_else_is_no_table(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        service(Engine(an_answer(**changes))).table(TWO, THREE, 1)
    with pytest.raises(BadAnswer):
        service(Engine(an_answer(), status=500)).table(TWO, THREE, 1)


@pytest.mark.parametrize(
    ("status", "answer", "is_engine"),
    [
        (200, {"code": "Ok"}, True),
        (400, {"code": "NoTable"}, True),
        (404, {"code": "Ok"}, False),
        (500, {"code": "Ok"}, False),
        (200, {"code": 1}, False),
        (200, [], False),
    ],
)
def test_an_engine_is_what_answers_as_one(status: int, answer: object, is_engine: bool) -> None:
    assert service(Engine(answer, status)).answers(1) is is_engine
