"""Alert rules, runbook and dashboard against each other and against what the code counts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from service.local import containers
from service.observability import instruments
from tests.support.infrastructure import PROJECT

PROMETHEUS = PROJECT / "docker" / "prometheus"
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
RULES_HERE = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES_HERE if "alert" in rule}
DASHBOARD = json.loads((PROJECT / "docker/grafana/dashboards/dispatch.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

AT_SCRAPE = {
    "wildrydes_build_info",
    "wildrydes_processes",
    "wildrydes_memory_bytes",
    "wildrydes_queue_jobs",
    "wildrydes_unacked_jobs",
}
"""Made anew for each answer, not kept by an instrument."""
PROMETHEUS_OWN = {"up", "ALERTS"}
OTHERS = {
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_evicted_keys_total",
    "redis_connected_clients",
    "flower_task_runtime_seconds_bucket",
    "flower_events_total",
    "flower_worker_number_of_currently_executing_tasks",
}
"""Of the Redis exporter and of Flower (tests/integration/test_monitor.py looks for those)."""
SCALING = (PROJECT / "docker/ecs/scaling.yaml").read_text()


def series() -> set[str]:
    """Every name the service exposes, and those Prometheus makes of them."""
    names = set(AT_SCRAPE | PROMETHEUS_OWN | OTHERS)
    for instrument in vars(instruments).values():
        if isinstance(instrument, MetricWrapperBase):
            name = instrument._name
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            names |= {f"{name}{suffix}" for suffix in suffixes.get(instrument._type, [""])}
    return names | {rule["record"] for rule in RULES_HERE if "record" in rule}


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES_HERE)
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])


def names_in(expression: str) -> set[str]:
    """The series an expression reads. Raises `ValueError` if it is no PromQL."""
    promql_parser.parse(expression.replace("$__rate_interval", "1m"))
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|(?:by|on)\s*\([^)]*\)", "", expression)
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare)
    return {word for word in words if "_" in word or word in PROMETHEUS_OWN} - {
        "histogram_quantile",
        "clamp_min",
    }


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_expression_reads_series_that_exist(expression: str) -> None:
    assert names_in(expression) <= series()


def test_every_series_of_the_code_is_shown_or_watched() -> None:
    read = set().union(*map(names_in, expressions()))
    for instrument in vars(instruments).values():
        if isinstance(instrument, MetricWrapperBase):
            assert any(name.startswith(instrument._name) for name in read), instrument._name


def test_every_kind_of_unreadable_entry_is_counted_from_zero() -> None:
    """An alert on an increase misses a series that begins at 1."""
    source = "".join(path.read_text() for path in (PROJECT / "service").rglob("*.py"))
    kinds = re.findall(r'\b(?:note_un)?readable\(\s*"(\w+)"', source)
    assert {"position", "correction"} <= set(kinds)
    assert set(kinds) <= set(instruments.ENTRY_KINDS)


def test_every_metric_of_code_rules_and_scaling_has_the_one_prefix() -> None:
    kept = [each for each in vars(instruments).values() if isinstance(each, MetricWrapperBase)]
    names = {each._name for each in kept} | AT_SCRAPE
    names |= set().union(*map(names_in, expressions())) - PROMETHEUS_OWN - OTHERS
    # CloudWatch's own names begin with a capital letter.
    names |= set(re.findall(r"MetricName: ([a-z]\w+)", SCALING))
    assert {name for name in names if not name.startswith("wildrydes")} == set()


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() -> None:
    runbook = (PROJECT / "docker" / "RUNBOOK.md").read_text()
    assert set(re.findall(r"^## (\w+)$", runbook, re.MULTILINE)) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docker/RUNBOOK.md#{name.lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_names_the_panels_and_the_alerts_that_page() -> None:
    runbook = (PROJECT / "docker" / "RUNBOOK.md").read_text()
    titles = {panel["title"] for panel in PANELS} | {DASHBOARD["title"]}
    titles |= set(re.findall(r"^## (.+)$", runbook, re.MULTILINE))
    assert set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", runbook)) <= titles
    (paging,) = re.findall(r"^These alerts page somebody: (.+?)\. ", runbook, re.MULTILINE)
    pages = {name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "page"}
    assert set(re.findall(r"`(\w+)`", paging)) == pages


def test_every_alert_is_tried_by_a_rule_test() -> None:
    tried = (PROMETHEUS / "rules_test.yml").read_text()
    patterns = re.findall(r'alertname=~"([^"]+)"|alertname: (\w+)', tried)
    for name in ALERTS:
        assert any(re.fullmatch(either or other, name) for either, other in patterns), name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
@pytest.mark.parametrize(
    "command", [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]], ids=" ".join
)
def test_promtool_agrees(command: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_is_complete_and_stands_in_its_own_place() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= taken
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


def test_the_dashboard_asks_the_provisioned_data_source() -> None:
    folder = PROJECT / "docker/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]

    def asked(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from [value["datasource"]] if "datasource" in value else []
            for each in value.values():
                yield from asked(each)
        elif isinstance(value, list):
            for each in value:
                yield from asked(each)

    found = list(asked(DASHBOARD))
    assert found
    assert all(each == {"type": source["type"], "uid": source["uid"]} for each in found)


def test_prometheus_scrapes_the_monitor_with_the_password_that_provisioning_writes() -> None:
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    login = {each["job_name"]: each.get("basic_auth") for each in scraped}["monitor"]
    folder, _, name = login["password_file"].rpartition("/")
    assert folder == str(containers.FOLDER)
    assert f'FOLDER / "{name}"' in Path(containers.__file__).read_text()
    compose = yaml.safe_load((PROJECT / "docker/compose.yaml").read_text())["services"]
    assert f"settings:{folder}:ro" in compose["prometheus"]["volumes"]
    assert {each["job_name"] for each in scraped} == {"web", "worker", "beat", "monitor", "redis"}


def test_prometheus_and_grafana_are_given_these_files() -> None:
    compose = yaml.safe_load((PROJECT / "docker/compose.yaml").read_text())["services"]
    assert "./prometheus:/etc/prometheus:ro" in compose["prometheus"]["volumes"]
    mounted = compose["grafana"]["volumes"]
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in mounted
    assert "./grafana/dashboards:/etc/grafana/dashboards:ro" in mounted
    for service in ("prometheus", "grafana", "redis-exporter"):
        assert compose[service]["profiles"] == ["monitoring"]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", compose[service]["image"])
