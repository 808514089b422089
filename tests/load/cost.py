"""What the stacks of docker/ecs cost in a month, from docker/ecs/costs.toml.

`python -m tests.load.cost` prints the tables, `--write` puts them into docker/ecs/COST.md.
"""

from __future__ import annotations

import math
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.support.templates import ECS

PAGE: Final = ECS / "COST.md"
BLOCK: Final = re.compile(r"(?<=<!-- computed -->\n).*?(?=<!-- end -->)", re.S)
RATES: Final = (1, 100, 10_000)
FLEETS: Final = (1_000, 10_000)
MILLION: Final = 1e6
SIZES: Final = {"web": (0.5, 1.0), "worker": (1.0, 2.0), "beat": (0.25, 0.5)}
"""Processors and GB of memory of a task, as service.yaml sizes it."""

TABLE: Final = tomllib.loads((ECS / "costs.toml").read_text())
PRICE: Final[Mapping[str, float]] = {name: each["usd"] for name, each in TABLE["prices"].items()}
UNIT: Final[Mapping[str, float]] = {
    name: each["value"] for part in ("measured", "assumed") for name, each in TABLE[part].items()
}
HOURS: Final = UNIT["hours_a_month"]
SECONDS: Final = HOURS * 3600


class Month:
    """One month at a rate of rides (per minute) and with a number of unicorns on duty."""

    def __init__(self, rate: float, unicorns: int) -> None:
        self.rides = rate * HOURS * 60
        self.positions = unicorns * SECONDS / UNIT["seconds_between_positions"]
        self.requests = self.rides * UNIT["requests_a_ride"] + self.positions
        self.riders = self.rides / UNIT["rides_a_rider_a_month"]
        web = self._cores("web_cpu_ms_a_ride", self.rides)
        web += self._cores("web_cpu_ms_a_position", self.positions)
        worker = self._cores("worker_cpu_ms_a_ride", self.rides)
        self.tasks = {"web": _tasks("web", web), "worker": _tasks("worker", worker), "beat": 1}
        self.is_large = rate >= max(RATES) or unicorns >= max(FLEETS)

    @staticmethod
    def _cores(unit: str, count: float) -> float:
        return UNIT[unit] * count / 1000 / SECONDS

    def balancer(self) -> float:
        """Hours, two addresses, and the largest of what its capacity units count."""
        gigabytes_an_hour = self.out_gb() / HOURS
        units = max(gigabytes_an_hour, self.requests / SECONDS / 1000)
        fixed = PRICE["alb_hour"] + 2 * PRICE["address_hour"]
        return HOURS * (fixed + units * PRICE["alb_lcu_hour"])

    def out_gb(self) -> float:
        """What goes to riders and drivers."""
        kilobytes = self.rides * UNIT["kb_out_a_ride"]
        return (kilobytes + self.positions * UNIT["kb_out_a_position"]) / MILLION

    def egress(self) -> float:
        return self.out_gb() * PRICE["egress_gb"]

    def log_gb(self) -> float:
        """Log lines of all roles."""
        size = self.rides * UNIT["log_bytes_a_ride"]
        size += self.positions * UNIT["log_bytes_a_position"]
        idle = sum(self.tasks.values()) * HOURS * 60 * UNIT["log_bytes_a_task_minute"]
        return (size + idle) / 1e9

    def network(self) -> float:
        """Two NAT gateways with their addresses and traffic; or the endpoint for logs beside it."""
        fixed = 2 * HOURS * (PRICE["nat_hour"] + PRICE["address_hour"])
        fixed += UNIT["nat_gb_a_month"] * PRICE["nat_gb"]
        endpoint = 2 * HOURS * PRICE["endpoint_hour"] + self.log_gb() * PRICE["endpoint_gb"]
        return fixed + min(self.log_gb() * PRICE["nat_gb"], endpoint)

    def processors(self) -> float:
        """The tasks' processors and memory."""
        hour = sum(
            count * (SIZES[role][0] * PRICE["vcpu_hour"] + SIZES[role][1] * PRICE["gb_hour"])
            for role, count in self.tasks.items()
        )
        return HOURS * hour

    def cache(self) -> float:
        """Two nodes."""
        node = "cache_large_hour" if self.is_large else "cache_small_hour"
        return 2 * HOURS * PRICE[node]

    def reads(self) -> float:
        """Read units: of rides, of the clock, and of what each process reads once a second."""
        processes = 2 * self.tasks["web"] + 2 * self.tasks["worker"]
        return self.rides * UNIT["reads_a_ride"] + SECONDS * (UNIT["reads_a_second"] + processes)

    def tables(self) -> float:
        """Requests to DynamoDB."""
        writes = self.rides * UNIT["writes_a_ride"] / MILLION * PRICE["write_million"]
        return writes + self.reads() / MILLION * PRICE["read_million"]

    def stored_gb(self) -> float:
        """The rides that retention keeps."""
        months = UNIT["ride_retention_days"] * 24 / HOURS
        return self.rides * months * UNIT["row_kb"] / MILLION

    def storage(self) -> float:
        return self.stored_gb() * PRICE["table_gb"]

    def backups(self) -> float:
        """Point-in-time recovery of the tables."""
        return self.stored_gb() * PRICE["backup_gb"]

    def logs(self) -> float:
        """Taken in, and kept for a month."""
        return self.log_gb() * (PRICE["log_gb"] + PRICE["log_kept_gb"])

    def access_logs(self) -> float:
        """The balancer's, in S3."""
        size = self.requests * UNIT["access_log_bytes_a_request"] / 5 / 1e9
        return size * UNIT["access_log_months"] * PRICE["bucket_gb"]

    def metrics(self) -> float:
        """Metrics from logs and of Container Insights, alarms and dashboards."""
        metrics = (UNIT["metrics_from_logs"] + UNIT["insight_metrics"]) * PRICE["metric"]
        alarms = UNIT["alarms"] * PRICE["alarm"]
        return metrics + alarms + UNIT["dashboards"] * PRICE["dashboard"]

    def identity(self) -> float:
        """Active users beyond the free ones, one machine client, the triggers."""
        users = max(0.0, self.riders - UNIT["free_active_users"]) * PRICE["active_user"]
        machine = UNIT["renewals_a_machine"] / 1000 * PRICE["machine_token_thousand"]
        calls = self.riders * UNIT["triggers_a_rider"]
        seconds = calls * UNIT["trigger_gb_seconds"] * PRICE["lambda_gb_second"]
        called = calls / MILLION * PRICE["lambda_million"]
        return users + machine + PRICE["machine_client"] + called + seconds

    def rest(self) -> float:
        """Two secrets, a key, 30 images of 200 MB."""
        return 2 * PRICE["secret"] + PRICE["key"] + 6 * PRICE["image_gb"]

    def items(self) -> Mapping[str, float]:
        """USD by item."""
        return {
            "balancer": self.balancer(),
            "traffic to users": self.egress(),
            "NAT, or NAT and the endpoint for logs": self.network(),
            "tasks": self.processors(),
            "cache, two nodes": self.cache(),
            "DynamoDB: writes and reads": self.tables(),
            "DynamoDB: storage": self.storage(),
            "DynamoDB: backups": self.backups(),
            "logs": self.logs(),
            "balancer's access logs": self.access_logs(),
            "metrics, alarms, dashboards": self.metrics(),
            "secrets, key, images": self.rest(),
        }

    def firewall(self) -> float:
        """The optional firewall.yaml."""
        return PRICE["firewall"] + self.requests / MILLION * PRICE["firewall_million"]


def endpoint_from_gb() -> float:
    """Log volume a month from which an interface endpoint is cheaper than NAT."""
    return 2 * HOURS * PRICE["endpoint_hour"] / (PRICE["nat_gb"] - PRICE["endpoint_gb"])


def _tasks(role: str, cores: float) -> int:
    return max(2, math.ceil(cores / (SIZES[role][0] * UNIT["target_load"])))


def _usd(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 or amount == 0 else f"{amount:.1f}"


def _row(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |\n"


def tables() -> str:
    """The computed part of the page."""
    return "".join([*_monthly(), "\n", *_behind(), "\n", *_sources()])


def _months() -> list[tuple[int, int, Month]]:
    return [(rate, fleet, Month(rate, fleet)) for fleet in FLEETS for rate in RATES]


def _heads(first: str) -> Iterator[str]:
    yield _row(first, [f"{rate:,} / min, {fleet:,}" for rate, fleet, _ in _months()])
    yield "|" + "---|" * (1 + len(_months())) + "\n"


def _monthly() -> Iterator[str]:
    months = [month for _, _, month in _months()]
    yield from _heads("USD a month: rides, unicorns")
    for name in months[0].items():
        yield _row(name, [_usd(month.items()[name]) for month in months])
    sums = [sum(month.items().values()) for month in months]
    yield _row("**without Cognito**", [f"**{_usd(total)}**" for total in sums])
    yield _row("Cognito with its triggers", [_usd(month.identity()) for month in months])
    totals = [total + month.identity() for total, month in zip(sums, months, strict=True)]
    yield _row("**all**", [f"**{_usd(total)}**" for total in totals])
    yield _row("optional: firewall", [_usd(month.firewall()) for month in months])


def _behind() -> Iterator[str]:
    months = [month for _, _, month in _months()]
    yield from _heads("what is behind it")
    yield _row("rides a month, thousands", [f"{month.rides / 1e3:,.0f}" for month in months])
    yield _row("requests a second", [f"{month.requests / SECONDS:,.0f}" for month in months])
    for role in ("web", "worker"):
        yield _row(f"{role} tasks", [str(month.tasks[role]) for month in months])
    yield _row("log lines, GB", [f"{month.log_gb():,.1f}" for month in months])
    yield _row("rides stored, GB", [f"{month.stored_gb():,.1f}" for month in months])
    yield _row("active riders, thousands", [f"{month.riders / 1e3:,.0f}" for month in months])


def _sources() -> Iterator[str]:
    yield from ("| price | USD | AWS's page | checked against |\n", "|---|---|---|---|\n")
    for name, each in TABLE["prices"].items():
        seen = each.get("seen", "nothing: from memory")
        yield _row(name, [f"{each['usd']:.10f}".rstrip("0").rstrip("."), each["page"], seen])
    yield from ("\n| unit | value | from |\n", "|---|---|---|\n")
    for part, source in (("measured", "by"), ("assumed", "why")):
        for name, unit in TABLE[part].items():
            yield _row(name, [f"{unit['value']:,}", f"{part}: {unit[source]}"])
    yield f"\nAn endpoint for logs is cheaper than NAT from {endpoint_from_gb():,.0f} GB a month.\n"


def main(arguments: list[str]) -> None:
    if "--write" in arguments:
        page: Any = PAGE.read_text()
        PAGE.write_text(BLOCK.sub(lambda _: tables(), page))
    else:
        print(tables(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
