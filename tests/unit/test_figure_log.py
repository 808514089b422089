"""The figures of a line, made from samples and from the counts of the line before."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.observability import figure_log
from service.observability.figure_log import MOST_VALUES, SECONDS, FigureLog, Totals, figures_of
from service.observability.figures import Figure, Kind, Labels

NOW = 1000.12345


def value_of(
    kind: Kind, samples: list[tuple[Labels, float]], before: Totals | None = None
) -> object:
    """The value of a figure `x`; None if it has none."""
    figure = Figure("x", "Count", kind, "sample")
    values, _ = figures_of([figure], {"sample": samples}, before or {}, NOW)
    return values.get("x")


def plain(*values: float) -> list[tuple[Labels, float]]:
    return [({}, value) for value in values]


def buckets(**counts: float) -> list[tuple[Labels, float]]:
    bounds = {"tenth": "0.1", "one": "1.0", "all": "+Inf"}
    return [({"le": bounds[name]}, count) for name, count in counts.items()]


def test_an_increase_is_the_difference_of_the_sums() -> None:
    assert value_of(Kind.INCREASE, plain(1.23456789, 2)) == 3.2346
    assert value_of(Kind.INCREASE, plain(1.5, 2), {"x": {"": 0.25}}) == 3.25
    assert value_of(Kind.INCREASE, []) == 0


def test_the_largest_sample_is_a_value_and_the_latest_an_age() -> None:
    assert value_of(Kind.VALUE, plain(0.5, 1.23456)) == 1.235
    assert value_of(Kind.VALUE, []) is None
    assert value_of(Kind.AGE, plain(900, 990)) == 10.123
    assert value_of(Kind.AGE, plain(NOW + 5)) == 0
    assert value_of(Kind.AGE, plain(0, 0)) is None


@pytest.mark.parametrize(
    ("instants", "age"), [([NOW - 59.9, 0], 100), ([NOW - 60.1], None), ([0], None), ([], None)]
)
def test_an_age_needs_its_fresh_instant(instants: list[float], age: float | None) -> None:
    figure = Figure("x", "Seconds", Kind.AGE, "sample", fresh="instant")
    samples = {"sample": plain(NOW - 100), "instant": plain(*instants)}
    values, _ = figures_of([figure], samples, {}, NOW)
    assert values.get("x") == age


def test_new_observations_are_the_bounds_of_their_buckets() -> None:
    samples = buckets(all=5, tenth=2, one=4)
    assert value_of(Kind.VALUES, samples) == [0.1, 0.1, 1.0, 1.0, 1.0]
    before = {"x": {"0.1": 1.0, "1.0": 2.0, "+Inf": 2.0}}
    assert value_of(Kind.VALUES, samples, before) == [0.1, 1.0, 1.0]
    assert value_of(Kind.VALUES, samples, {"x": {"0.1": 2.0, "1.0": 4.0, "+Inf": 5.0}}) is None
    assert value_of(Kind.VALUES, []) is None


def test_many_observations_are_scaled_down_to_what_a_line_may_have() -> None:
    values = value_of(Kind.VALUES, buckets(tenth=500, one=750, all=1000))
    assert isinstance(values, list)
    assert 0.95 * MOST_VALUES <= len(values) <= MOST_VALUES
    assert values.count(0.1) == pytest.approx(len(values) / 2, abs=1)


class Nothing(Collector):
    def collect(self) -> Iterator[Metric]:
        return iter(())


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The lines written."""
    lines: list[object] = []
    logger = logging.getLogger("tests.figures")
    monkeypatch.setattr(logger, "info", lambda *line, **_: lines.append(line))
    monkeypatch.setattr(figure_log, "logger", logger)
    return lines


def test_the_processes_of_a_role_write_one_line_in_each_period(
    tmp_path: Path, lines: list[object]
) -> None:
    clock = [NOW]
    one, other = (
        FigureLog("worker", "rides", tmp_path, Nothing(), lambda: clock[0]) for _ in range(2)
    )
    one.write()
    for after, written in ((0, 1), (SECONDS / 2 - 0.01, 1), (SECONDS / 2, 2)):
        clock[0] = NOW + after
        other.write()
        assert len(lines) == written
    assert json.loads((tmp_path / "figures.json").read_text())["at"] == clock[0]


def test_figures_go_on_when_there_is_space_again_for_their_file(
    tmp_path: Path, lines: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [NOW]
    log = FigureLog("worker", "rides", tmp_path, Nothing(), lambda: clock[0])
    log.write()

    def cut_off(path: Path, text: str) -> None:
        path.write_bytes(b"")
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", cut_off)
        clock[0] += SECONDS
        with pytest.raises(OSError, match="no space"):
            log.write()
    clock[0] += SECONDS
    log.write()
    assert len(lines) == 2
