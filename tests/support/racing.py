"""Many callers at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.core.ports import WriteConflict

Task = TypeVar("Task")
Result = TypeVar("Result")


def race(call: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Call with every task, each in a thread of its own, all let go at once."""
    todo = list(tasks)
    start = threading.Barrier(len(todo))

    def run(task: Task) -> Result:
        start.wait()
        return call(task)

    with ThreadPoolExecutor(len(todo)) as pool:
        return list(pool.map(run, todo))


def wins(write: Callable[[], None]) -> bool:
    """Whether the conditional write was the one that went through."""
    try:
        write()
    except WriteConflict:
        return False
    return True
