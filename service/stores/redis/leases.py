"""The mark and the lease of a zone: how many triggers become few rounds, one after another.

Both are keys of the zone in Redis, and both expire, so that no dead process blocks a zone. The mark
says that a round of the zone is asked for and has not begun. Its value says who stands behind it:
`1` is a published job, anything else is the holder of the lease. The lease lets one job run the
zone's rounds. Its value is the token of that job.

1. A producer adds its ride and tries to set the mark, in one call. If the mark is new, the producer
   publishes a job. If the mark exists, the round is already asked for: it publishes nothing.
2. The job takes the lease and deletes the mark, in one script.
3. A job that finds the lease taken sets the mark (again) in the name of the holder, for the rest of
   the lease, and ends without a round. Each renewal of the lease renews this mark too. So the
   holder finds the mark at the end of its round, and runs one more.
4. Each round, also a second one of the same job, deletes the mark and *then* reads the rides
   (`begin_round` in `rounds`, beside this module). So a ride that is added later sets the mark
   again and gets another round.
5. A holder that is done gives the lease back only if there is no mark, in one script. A holder
   whose time is up, or whose round failed, deletes the lease, and also the mark if it names this
   holder. Then it triggers the zone, if rides wait, and so publishes a job: its successor.

If a job or its process dies, its lease and the mark in its name expire within 2 s. The sweep
triggers each waiting ride every 4 s, and its first trigger after that publishes a job. The rides of
the round in which the job died are suspects in the next, which tries each alone
(`service/core/dead_letters.py`).

The lease only saves work. If two jobs hold it by mistake, the claim still gives each ride one
unicorn and each unicorn one ride.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from service.core.ports import LeaseLost
from service.model.errors import Unavailable
from service.stores.redis import keys
from service.stores.redis.link import Command, RedisLink

MARK_MS: Final = 1000
"""How long the mark of a trigger lasts, in milliseconds. If the job of the trigger is lost, the
next trigger after this time publishes another job."""
NOTED_MS: Final = 600_000
"""How long Redis keeps the instant of a zone's oldest unread trigger (`keys.triggered`), in
milliseconds: longer than the mark, so that the instant shows how long triggers wait even if a job
or a mark was lost."""
LEASE_MS: Final = 2000
"""How long a lease lasts, in milliseconds: twice a job's work budget (`WORK_BUDGET_SECONDS`).
A holder that dies blocks its zone for this long at most."""
RUNNING_MS: Final = 600_000
"""How long Redis keeps the list of a round's rides (`keys.running`) and the counts of suspects
(`keys.alone`), in milliseconds. While workers run, a zone that is not paused and has a waiting ride
never goes that long without a round."""
RENEW_SECONDS: Final = LEASE_MS / 1000 / 4
"""How often the holder renews the lease. Two renewals in a row may fail at once: the third one is
tried after 1.5 s. A fourth would come at the moment at which the lease expires."""


def now_ms() -> int:
    return int(time.time() * 1000)


def commands_to_mark(zone: str, now: int) -> tuple[Command, Command]:
    """The commands that set the mark and note the instant `now` (ms) of its trigger.

    They follow the commands that add a ride, in the same call. Each answers what was there before,
    or None; without a mark before, the caller must publish a job.
    """
    # With `GET`, a key of a wrong type is an error, on which `link` deletes the key. Without `GET`,
    # the key would count as a mark.
    return (
        ("SET", keys.mark(zone), "1", "NX", "GET", "PX", MARK_MS),
        ("SET", keys.triggered(zone), now, "NX", "GET", "PX", NOTED_MS),
    )


_MARK_IF_WAITING: Final = """
-- KEYS waiting mark triggered  ARGV mark_ms now_ms triggered_ms
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[3])
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
"""


def mark_if_waiting(link: RedisLink, zones: Iterable[str]) -> Sequence[str]:
    """Mark the zones that have waiting rides: one call. Returns the zones whose mark is new."""
    ordered, args = sorted(zones), (MARK_MS, now_ms(), NOTED_MS)
    calls = [
        ((keys.waiting(zone), keys.mark(zone), keys.triggered(zone)), args) for zone in ordered
    ]
    marked = link.run_all(_MARK_IF_WAITING, calls)
    return [zone for zone, is_new in zip(ordered, marked, strict=True) if is_new]


class Lease:
    """A job's lease on a zone. A thread renews it, because a claim may take longer than 2 s.

    The first key of each script is the lease, and its first argument the token of this job.
    """

    def __init__(self, link: RedisLink, zone: str, owner: str) -> None:
        self.zone = zone
        self._link = link
        self._owner = owner
        self._over = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewal.start()

    _TAKE: Final = """
    -- KEYS lease mark  ARGV owner lease_ms
    if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
      redis.call('DEL', KEYS[2])
      return 1
    end
    -- The mark names the holder, so that the holder knows that no job stands behind it.
    local left = math.max(1, redis.call('PTTL', KEYS[1]))
    redis.call('SET', KEYS[2], redis.call('GET', KEYS[1]), 'PX', left)
    return 0
    """

    @classmethod
    def take(cls, link: RedisLink, zone: str) -> Self | None:
        """Take the lease and delete the mark: one call. None if another job has the lease."""
        owner = secrets.token_hex(8)
        taken = link.run(cls._TAKE, (keys.lease(zone), keys.mark(zone)), owner, LEASE_MS)
        return cls(link, zone, owner) if taken else None

    _RENEW: Final = """
    -- KEYS lease mark  ARGV owner lease_ms
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
    """

    def _renew(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            # Also after the lease has expired, because `begin_round` may take it again.
            with suppress(Unavailable):
                self._run(self._RENEW, (keys.mark,), LEASE_MS)

    _RELEASE_UNLESS_MARKED: Final = """
    -- KEYS lease mark  ARGV owner
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
    if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
    redis.call('DEL', KEYS[1])
    return 1
    """

    def release_unless_marked(self) -> bool:
        is_released = bool(self._run(self._RELEASE_UNLESS_MARKED, (keys.mark,)))
        if is_released:
            self._over.set()
        return is_released

    _RELEASE: Final = """
    -- KEYS lease mark running  ARGV owner [running_ms suspect…]
    -- running_ms: given if the process survived an error in its round, so that only the given rides
    -- stay suspects.
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
    redis.call('DEL', KEYS[1])
    if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
    if ARGV[2] then
      redis.call('DEL', KEYS[3])
      for i = 3, #ARGV do redis.call('SADD', KEYS[3], ARGV[i]) end
      redis.call('PEXPIRE', KEYS[3], ARGV[2])
    end
    """

    def release(self, suspects: Collection[str] | None = None) -> None:
        """Give the lease back, and delete the mark if a job that found the lease taken set it.

        `suspects`: the only rides of the round that stay suspects, because the process survived an
        error; None: all of them do.
        """
        self._over.set()
        args = () if suspects is None else (RUNNING_MS, *suspects)
        self._run(self._RELEASE, (keys.mark, keys.running), *args)

    def _run_fenced(self, script: str, names: Sequence[keys.OfZone], *args: Any) -> Any:
        """Run a script that answers nothing without the lease; raises `LeaseLost` then."""
        answer = self._run(script, names, *args)
        if answer is None:
            raise LeaseLost(f"the lease of zone {self.zone} expired")
        return answer

    def _run(self, script: str, names: Sequence[keys.OfZone], *args: Any) -> Any:
        of_zone = [name(self.zone) for name in (keys.lease, *names)]
        return self._link.run(script, of_zone, self._owner, *args)
