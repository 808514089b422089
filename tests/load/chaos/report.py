"""Prints the results of a run as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.load.chaos import timing
from tests.load.chaos.checker import Violation
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.schedule import Fault

SHOWN_VIOLATIONS = 20


def lines(evidence: Evidence, violations: Sequence[Violation]) -> Iterator[str]:
    """The table, with the violations below it."""
    broken = Counter(violation.rule for violation in violations)
    waits = [wait.seconds for wait in timing.waits(evidence)]
    calm = [wait.seconds for wait in timing.calm(evidence)]
    yield f"rides                      {len(evidence.rides):>6}  {_ends(evidence)}"
    copies = sum(entry["count"] for entry in evidence.noted("copies"))
    yield f"messages delivered again   {copies:>6}"
    yield f"requests cut by a kill     {_cut(evidence):>6}"
    if advised := [entry for entry in evidence.noted("unicorn") if entry.get("advised")]:
        unicorns = len({entry["unicorn_id"] for entry in advised})
        yield f"advice seen by unicorns    {len(advised):>6}  {unicorns} unicorns"
    yield f"lost                       {broken['no_accepted_ride_is_lost']:>6}"
    yield f"double                     {_double(broken):>6}"
    yield f"other violations           {len(violations) - _lost_or_double(broken):>6}"
    yield f"time to match, s                  {_spread(waits)}"
    yield f"  where nothing failed            {_spread(calm)}"
    yield f"  allowed: p99 {timing.ALLOWED.total_seconds():g} (grace {timing.GRACE.seconds} + 2)"
    yield "fault                       times  time to match of the rides it met, s"
    for fault in Fault:
        times = sum(entry["fault"] == fault for entry in evidence.noted("fault"))
        yield f"  {fault:<25}{times:>6}  {_spread(timing.hit_by(evidence, fault))}"
    for violation in violations[:SHOWN_VIOLATIONS]:
        yield f"VIOLATION {violation.rule}: {violation.detail}"
    if len(violations) > SHOWN_VIOLATIONS:
        yield f"… and {len(violations) - SHOWN_VIOLATIONS} more"


def _double(broken: Counter[str]) -> int:
    return broken["no_unicorn_has_two_rides"] + broken["one_key_makes_one_ride"]


def _lost_or_double(broken: Counter[str]) -> int:
    return _double(broken) + broken["no_accepted_ride_is_lost"]


def _spread(seconds: Sequence[float]) -> str:
    p50, p99 = timing.quantile(seconds, 0.5), timing.quantile(seconds, 0.99)
    longest = max(seconds, default=float("nan"))
    return f"n {len(seconds):<5} p50 {p50:5.2f}  p99 {p99:5.2f}  max {longest:5.2f}"


def _ends(evidence: Evidence) -> str:
    ends = Counter(ride.status.value for ride in evidence.rides)
    return ", ".join(f"{count} {status}" for status, count in ends.most_common())


def _cut(evidence: Evidence) -> int:
    """Requests for a ride whose answer never came."""
    requests = {entry["call"] for entry in evidence.noted("sent") if "key" in entry}
    lost = [entry for entry in evidence.noted("unknown") if entry["call"] in requests]
    return sum(not entry["cause"].startswith("ConnectionRefusedError") for entry in lost)
