"""A process that ends at any one of its I/O steps, found by reflecting over the ports.

Every method of every protocol in `service.core.ports` is a step, before and after it takes
effect; a method that is added there becomes a step by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints, is_typeddict

from service.core import ports
from service.core.rounds import Dispatcher
from service.matching.travel import TravelTimes

Built = TypeVar("Built")

PURE = frozenset({TravelTimes})
"""Protocols of computations: no I/O."""


class ProcessEnded(BaseException):
    """The process is gone: nothing it still tries has an effect."""


@dataclass(frozen=True)
class Fault:
    """What happens at the step with this number: before it took effect, or after."""

    step: int
    after: bool
    error: type[BaseException] = ProcessEnded


@dataclass
class Steps:
    """The I/O steps of one process so far, and the one at which it meets its fault."""

    fault: Fault | None = None
    taken: list[str] = field(default_factory=list)
    _ended: bool = False

    def take(self, name: str, effect: Callable[[], Built]) -> Built:
        if self._ended:
            raise ProcessEnded(name)
        fault = self.fault if self.fault and self.fault.step == len(self.taken) else None
        self.taken.append(name)
        if fault and not fault.after:
            self._meet(fault, name)
        try:
            return effect()
        finally:
            # A refusal is an effect too: it was decided, and then nobody heard of it.
            if fault:
                self._meet(fault, name)

    def _meet(self, fault: Fault, name: str) -> None:
        self._ended = fault.error is ProcessEnded
        raise fault.error(f"{'after' if fault.after else 'before'} {name}")


hints_of = cache(get_type_hints)
"""Each process asks for the same ones, and reading them anew takes longer than what it does."""


@cache
def protocols() -> Mapping[str, type]:
    """The protocols of everything that use cases are given, or get from what they are given."""
    found: dict[str, type] = {}
    hints = [*hints_of(ports.Ports).values(), *hints_of(Dispatcher).values()]
    while hints:
        for kind in _kinds_in(hints.pop()):
            if _is_protocol(kind) and kind.__name__ not in found and kind not in PURE:
                found[kind.__name__] = kind
                hints += [hints_of(each)["return"] for each in methods(kind).values()]
    return found


@cache
def methods(protocol: type) -> Mapping[str, Callable[..., Any]]:
    return {
        name: member
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def all_steps() -> set[str]:
    """The names of all steps there are."""
    return {f"{name}.{each}" for name, kind in protocols().items() for each in methods(kind)}


def watched_fields(built: Built, steps: Steps) -> Built:
    """The dataclass with every field that is a port replaced by one whose calls are steps."""
    hints = hints_of(type(built))
    kinds = {each.name: hints[each.name] for each in fields(built)}  # type: ignore[arg-type]
    ports_of_it = {name: kind for name, kind in kinds.items() if _is_protocol_of_ports(kind)}
    changes = {n: watched(getattr(built, n), kind, steps) for n, kind in ports_of_it.items()}
    return replace(built, **changes)  # type: ignore[type-var]


def watched(port: object, protocol: type, steps: Steps) -> Any:
    """The port with nothing but the protocol's methods, each of them a step."""
    names = methods(protocol)
    return Watched(port, {name: _step(port, protocol, name, steps) for name in names})


class Watched:
    """Steps for methods; properties tell what an earlier step has found."""

    def __init__(self, port: object, steps: Mapping[str, Callable[..., Any]]) -> None:
        self._port = port
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return self._steps[name] if name in self._steps else getattr(self._port, name)


def _step(port: object, protocol: type, name: str, steps: Steps) -> Callable[..., Any]:
    answer = hints_of(methods(protocol)[name])["return"]

    def call(*args: Any, **keywords: Any) -> Any:
        method = getattr(port, name)
        taken = steps.take(f"{protocol.__name__}.{name}", lambda: method(*args, **keywords))
        return _watched_answer(taken, answer, steps)

    return call


def _watched_answer(value: Any, hint: Any, steps: Steps) -> Any:
    """What a step returned may itself be a port: a lease, a listener."""
    inner = next((kind for kind in _kinds_in(hint) if _is_protocol_of_ports(kind)), None)
    if inner is None or value is None:
        return value
    if isinstance(value, AbstractContextManager):
        return _watched_context(value, inner, steps)
    return watched(value, inner, steps)


@contextmanager
def _watched_context(
    context: AbstractContextManager[Any], protocol: type, steps: Steps
) -> Iterator[Any]:
    with context as entered:
        yield watched(entered, protocol, steps)


def _kinds_in(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _kinds_in(part)


def _is_protocol(kind: Any) -> bool:
    return bool(getattr(kind, "_is_protocol", False)) and not is_typeddict(kind)


def _is_protocol_of_ports(kind: Any) -> bool:
    return inspect.isclass(kind) and kind in protocols().values()


def faults_at_each(step_count: int, error: type[BaseException]) -> Iterator[Fault]:
    """One fault before and one after each step.

    `ProcessEnded` ends the process there; any other error it may handle and live on.
    """
    for step in range(step_count):
        yield Fault(step, False, error)
        yield Fault(step, True, error)
