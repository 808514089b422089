"""Carries out the strikes of a schedule, each at its instant, and notes what it did."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from tests.load.chaos.calls import Api
from tests.load.chaos.cluster import Cluster
from tests.load.chaos.schedule import Fault, Strike
from tests.support.slow_clients import SlowClients

AIM_SECONDS: Final = 3.0
"""Seconds that a strike waits for a request to be under way."""
INSIST_SECONDS: Final = 10.0
SLOW_CLIENTS: Final = 300
"""Several times as many as both API processes have places for."""
DEAF: Final = {"RATE_LIMIT_SUBJECT": "1/hour"}
"""Settings with which an API process refuses the second call of each caller, and so every position.
"""


class Nemesis:
    """Carries out strikes in threads, so that faults overlap."""

    def __init__(self, cluster: Cluster, api: Api) -> None:
        self._cluster = cluster
        self._posts = api.posts
        self._ended = api.ended
        self._redis = threading.Lock()
        self._aws = threading.Lock()
        self._deaf = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ways: Mapping[Fault, Callable[[Strike], None]] = {
            Fault.WORKER: self._kill_worker,
            Fault.CHILD: self._kill_child,
            Fault.WEB: self._kill_web,
            Fault.BEAT: self._kill_beat,
            Fault.REDIS: self._lose_redis,
            Fault.AWS: self._pause_aws,
            Fault.HOLE: self._make_hole,
            Fault.HALF_OPEN: self._break_links,
            Fault.SLOW_CLIENTS: self._come_slowly,
            Fault.FAILOVER: self._fail_over,
            Fault.SILENT: self._silence_and_fail_over,
            Fault.DEAF: self._make_deaf,
        }

    def strike_all(self, strikes: Sequence[Strike]) -> None:
        """Carry out all strikes. Returns when everything works again."""
        began = time.monotonic()
        for strike in strikes:
            if self._ended.wait(max(0.0, began + strike.at - time.monotonic())):
                break
            thread = threading.Thread(target=self._ways[strike.fault], args=(strike,))
            thread.start()
            self._threads.append(thread)
        for thread in self._threads:
            thread.join()

    def _kill_beat(self, strike: Strike) -> None:
        self._kill("beat", strike)

    def _make_hole(self, strike: Strike) -> None:
        self._note(strike, "redis", seconds=strike.seconds)
        self._cluster.proxy.order(f"hole {strike.seconds}")

    def _break_links(self, strike: Strike) -> None:
        self._note(strike, "redis")
        self._cluster.proxy.order("half_open")

    def _come_slowly(self, strike: Strike) -> None:
        """Many connections of one rider that never finish a request nor read an answer."""
        token = self._cluster.stack.rider_token("slow")
        with SlowClients(tuple(self._cluster.ports.values()), token, SLOW_CLIENTS):
            self._note(strike, "web", seconds=strike.seconds)
            self._ended.wait(strike.seconds)
        self._back("web")

    def _make_deaf(self, strike: Strike) -> None:
        """Let one API process refuse every call of unicorns."""
        with self._deaf:
            self._note(strike, "web-2", seconds=strike.seconds)
            self._cluster.restart_as("web-2", DEAF)
            time.sleep(strike.seconds)
            self._cluster.restart_as("web-2", {})
            self._back("web-2")

    def _kill_worker(self, strike: Strike) -> None:
        self._aim(strike)
        self._kill(self._oldest_worker(), strike)

    def _kill_child(self, strike: Strike) -> None:
        self._aim(strike)
        self._insist(lambda: self._killed_child(self._oldest_worker(), strike))

    def _killed_child(self, name: str, strike: Strike) -> bool:
        """Kill a pool child of a worker that has finished starting; before, Celery would end."""
        children = self._cluster.children(name) if self._cluster.is_at_work(name) else []
        if not children:
            return False
        with suppress(ProcessLookupError):
            os.kill(children[int(strike.pick * len(children))], signal.SIGKILL)
        self._note(strike, name)
        return True

    def _kill_web(self, strike: Strike) -> None:
        """Kill an API process while it serves a request for a ride, if there is one in time."""
        names = {port: name for name, port in self._cluster.ports.items()}
        port = self._posts.wait(tuple(names), AIM_SECONDS)
        time.sleep(strike.delay / 2)
        self._kill(names[port or min(names)], strike)

    def _kill(self, name: str, strike: Strike) -> None:
        if self._insist(lambda: self._cluster.kill(name)):
            self._note(strike, name)

    def _insist(self, blow: Callable[[], bool]) -> bool:
        """Strike again until the victim is running, because a restarted process is soon there."""
        end = time.monotonic() + INSIST_SECONDS
        while not (hit := blow()) and time.monotonic() < end:
            time.sleep(0.1)
        return hit

    def _lose_redis(self, strike: Strike) -> None:
        with self._redis:
            self._note(strike, "redis", seconds=strike.seconds)
            self._cluster.redis.kill()
            time.sleep(strike.seconds)
            self._cluster.redis.start()
            self._back("redis")

    def _fail_over(self, strike: Strike) -> None:
        """Make the replica the primary, or switch back."""
        with self._redis:
            self._note(strike, "redis")
            self._cluster.pair.fail_over()
            self._back("redis")

    def _silence_and_fail_over(self, strike: Strike) -> None:
        """Pause the primary. When it continues, the other server has long been the primary."""
        with self._redis:
            self._note(strike, "redis", seconds=strike.seconds)
            hung = self._cluster.redis
            hung.pause()
            time.sleep(strike.seconds / 2)
            self._cluster.pair.promote()
            time.sleep(strike.seconds / 2)
            hung.resume()
            self._cluster.pair.follow()
            self._back("redis")

    def _pause_aws(self, strike: Strike) -> None:
        with self._aws:
            self._note(strike, "aws", seconds=strike.seconds)
            self._cluster.aws.process.send(signal.SIGSTOP)
            time.sleep(strike.seconds)
            self._cluster.aws.process.send(signal.SIGCONT)
            self._back("aws")

    def _oldest_worker(self) -> str:
        """The process that has run longest, because it is not still starting."""
        return max(("worker-1", "worker-2"), key=self._cluster.age)

    def _aim(self, strike: Strike) -> None:
        self._posts.wait(tuple(self._cluster.ports.values()), AIM_SECONDS)
        time.sleep(strike.delay)

    def _note(self, strike: Strike, target: str, **about: float) -> None:
        self._cluster.history.add("fault", fault=strike.fault, target=target, **about)

    def _back(self, target: str) -> None:
        self._cluster.history.add("back", target=target)
