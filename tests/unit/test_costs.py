"""The cost page says what the script computes, from prices and units that name their source."""

from __future__ import annotations

import re

from tests.load import cost
from tests.support.infrastructure import PROJECT
from tests.support.templates import STACKS, resources


def test_the_page_has_what_the_script_computes() -> None:
    found = cost.BLOCK.search(cost.PAGE.read_text())
    assert found
    assert found[0] == cost.tables(), "python -m tests.load.cost --write"


def test_every_price_has_awss_page_and_every_unit_its_source() -> None:
    for name, price in cost.TABLE["prices"].items():
        assert price["usd"] > 0, name
        assert price["page"].startswith("https://aws.amazon.com/"), name
    for part, source in (("measured", "by"), ("assumed", "why")):
        for name, unit in cost.TABLE[part].items():
            assert unit[source], name


def test_every_measured_unit_names_a_measurement_that_exists() -> None:
    for name, unit in cost.TABLE["measured"].items():
        module = re.match(r"python -m ([\w.]+)", unit["by"])
        if module:
            assert (PROJECT / (module[1].replace(".", "/") + ".py")).is_file(), name


def test_every_price_and_unit_is_used() -> None:
    text = (PROJECT / "tests" / "load" / "cost.py").read_text()
    for part in ("prices", "measured", "assumed"):
        for name in cost.TABLE[part]:
            assert f'"{name}"' in text, name


def test_alarms_and_metrics_are_at_least_those_of_the_templates() -> None:
    for unit, kind in (
        ("alarms", "AWS::CloudWatch::Alarm"),
        ("metrics_from_logs", "AWS::Logs::MetricFilter"),
        ("dashboards", "AWS::CloudWatch::Dashboard"),
    ):
        assert sum(len(resources(name, kind)) for name in STACKS) <= cost.UNIT[unit], unit


def test_a_bill_adds_up_and_grows_with_rides_and_unicorns() -> None:
    small, rides, unicorns = cost.Month(1, 1_000), cost.Month(100, 1_000), cost.Month(1, 10_000)
    for name, usd in small.items().items():
        assert usd >= 0, name
        assert rides.items()[name] >= usd, name
        assert unicorns.items()[name] >= usd, name
    assert rides.log_gb() > small.log_gb() > 0
    more_tasks = sum(unicorns.tasks.values()) - sum(small.tasks.values())
    more_lines = more_tasks * cost.HOURS * 60 * cost.UNIT["log_bytes_a_task_minute"] / 1e9
    assert round(unicorns.log_gb() - small.log_gb(), 9) == round(more_lines, 9), "no position"


def test_tables_cost_what_the_units_of_a_ride_say() -> None:
    hundred, thousand = cost.Month(100, 1_000), cost.Month(1_000, 1_000)
    more_rides = thousand.rides - hundred.rides
    idle = thousand.reads() - hundred.reads() - more_rides * cost.UNIT["reads_a_ride"]
    expected = more_rides * (24 * 0.625 + 9 * 0.125) / 1e6 + idle / 1e6 * 0.125
    assert round(thousand.tables() - hundred.tables(), 6) == round(expected, 6)
