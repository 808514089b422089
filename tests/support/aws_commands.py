"""Reads commands of the AWS CLI as the CLI would, by botocore's model of the API."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

GLOBAL: Final = {"endpoint-url", "output", "query", "region"}
"""Options of every command."""

OWN: Final[Mapping[tuple[str, str], set[str]]] = {
    ("cloudformation", "deploy"): {
        "capabilities",
        "parameter-overrides",
        "s3-bucket",
        "s3-prefix",
        "stack-name",
        "template-file",
    },
    ("ecr", "get-login-password"): set(),
    ("logs", "tail"): {"follow", "log-stream-name-prefix", "since"},
    ("s3", "cp"): set(),
    ("s3", "rm"): {"recursive"},
}
"""Commands that the CLI has beside the API, with the options that the pages use of them."""

UNKNOWN: Final = re.compile(r"\$|…|^[A-Z]+-[A-Z]+$")
"""In a word whose value only the reader's shell or account knows."""

_CALL: Final = re.compile(r"(?:^|=\$\(|\bdo |\{ )(aws .*?)(?=\)$|; done$|; \}$| \|\|? |$)")
_SESSION: Final = botocore.session.get_session()


@dataclass(frozen=True)
class Call:
    """One command: its service and operation, its options, and what it asks of the API."""

    service: str
    operation: str
    options: Mapping[str, Sequence[str]]
    positional: Sequence[str]

    @property
    def is_own(self) -> bool:
        """Whether the command is the CLI's own and no operation of the API."""
        return (self.service, self.operation) in OWN


def calls_in(text: str) -> Iterator[str]:
    """The commands of the AWS CLI in one line of a shell."""
    yield from (found.strip() for found in _CALL.findall(text))


def read(command: str | Sequence[str]) -> Call:
    """The parts of a command, given as a line or as words."""
    words = shlex.split(command, comments=True) if isinstance(command, str) else list(command)
    program, service, operation, *rest = words
    assert program == "aws", words
    if operation == "wait":
        operation = f"wait {rest.pop(0)}"
    options: dict[str, list[str]] = {}
    positional: list[str] = []
    values = positional
    for word in rest:
        if word.startswith("--"):
            values = options.setdefault(word[2:], [])
        else:
            values.append(word)
    return Call(service, operation, options, positional)


def operation_of(call: Call) -> str:
    """The API's name of the operation that a call, or its waiter, uses."""
    model = _SESSION.get_service_model(call.service)
    if call.operation.startswith("wait "):
        waiters = _SESSION.get_waiter_model(call.service)
        wanted = call.operation.partition(" ")[2]
        (name,) = [each for each in waiters.waiter_names if xform_name(each, "-") == wanted]
        return str(waiters.get_waiter(name).operation)
    names = [each for each in model.operation_names if xform_name(each, "-") == call.operation]
    assert names, f"no such operation: {call.service} {call.operation}"
    return str(names[0])


def parameters_of(call: Call) -> dict[str, Any]:
    """What the call sends. Raises `AssertionError` for an option that the operation has not."""
    model = _SESSION.get_service_model(call.service).operation_model(operation_of(call))
    members = {xform_name(name, "-"): name for name in model.input_shape.members}
    sent: dict[str, Any] = {}
    for option, words in call.options.items():
        if option in GLOBAL:
            continue
        is_no = option not in members and option.startswith("no-")
        name = members.get(option.removeprefix("no-") if is_no else option)
        if call.service == "ecs" and option == "interactive":
            name = members["interactive"]
        assert name, f"{call.service} {call.operation} has no option --{option}"
        shape = model.input_shape.members[name]
        sent[name] = (not is_no) if shape.type_name == "boolean" else _value(shape, words)
    return sent


def faults_of(call: Call) -> list[str]:
    """The reasons why the API's model refuses the call."""
    if call.is_own:
        known = OWN[call.service, call.operation] | GLOBAL
        return [f"no option --{name}" for name in call.options.keys() - known]
    model = _SESSION.get_service_model(call.service).operation_model(operation_of(call))
    sent = parameters_of(call)
    report = ParamValidator().validate(sent, model.input_shape)
    faults = [report.generate_report()] if report.has_errors() else []
    return faults + list(_wrong_words(model.input_shape, sent))


def _wrong_words(shape: Any, value: Any) -> Iterator[str]:
    """Values that are not in their enumeration."""
    if shape.type_name == "structure":
        for name, each in value.items():
            yield from _wrong_words(shape.members[name], each)
    elif shape.type_name == "list":
        for each in value:
            yield from _wrong_words(shape.member, each)
    elif shape.type_name == "string" and shape.enum and not UNKNOWN.search(value):
        if value in shape.enum:
            return
        yield f"{value} is none of {', '.join(shape.enum)}"


def _value(shape: Any, words: Sequence[str]) -> Any:
    kind = shape.type_name
    if kind in ("structure", "map"):
        return _structured(shape, " ".join(words))
    if kind == "list" and words == ["…"]:
        return []
    if kind == "list":
        if len(words) == 1 and words[0].startswith("["):
            return json.loads(words[0])
        if shape.member.type_name == "structure":
            return [_structured(shape.member, word) for word in words]
        return list(words)
    (word,) = words
    if kind in ("integer", "long"):
        return 1 if UNKNOWN.search(word) else int(word)
    if kind in ("float", "double"):
        return 1.0 if UNKNOWN.search(word) else float(word)
    # What a variable holds may be as long as it has to be.
    return word.ljust(shape.metadata.get("min", 0)) if UNKNOWN.search(word) else word


def _structured(shape: Any, text: str) -> Any:
    if text.startswith(("{", "[")):
        return json.loads(text)
    value, rest = _Shorthand(text).fields("")
    assert not rest, f"cannot read {rest!r} of {text!r}"
    return _typed(shape, value)


def _typed(shape: Any, value: Any) -> Any:
    """What shorthand writes as texts, as the types of the shape."""
    kind = shape.type_name
    if kind == "structure":
        assert value.keys() <= shape.members.keys(), f"{set(value)} of {set(shape.members)}"
        return {name: _typed(shape.members[name], each) for name, each in value.items()}
    if kind == "list":
        each_of = value if isinstance(value, list) else [value]
        return [_typed(shape.member, each) for each in each_of]
    if kind == "map":
        return {name: _typed(shape.value, each) for name, each in value.items()}
    if kind == "boolean":
        return {"true": True, "false": False}[value.lower()]
    return int(value) if kind in ("integer", "long") else value


class _Shorthand:
    """The CLI's shorthand: `a=1,b=[2,3],c={d=4}`; a value may be in quotes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def fields(self, end: str) -> tuple[dict[str, Any], str]:
        """The fields up to `end` (or the end of the text), and what is left."""
        found: dict[str, Any] = {}
        while self._at < len(self._text) and not self._takes(end):
            name = self._until("=")
            self._at += 1
            found[name] = self._any()
            self._takes(",")
        return found, self._text[self._at :]

    def _any(self) -> Any:
        if self._takes("{"):
            return self.fields("}")[0]
        if self._takes("["):
            items = []
            while not self._takes("]"):
                items.append(self._any())
                self._takes(",")
            return items
        if self._takes('"'):
            value = self._until('"')
            self._at += 1
            return value
        return self._until(",]}")

    def _takes(self, sign: str) -> bool:
        if not sign or not self._text.startswith(sign, self._at):
            return False
        self._at += 1
        return True

    def _until(self, signs: str) -> str:
        """A text up to one of the signs; signs inside `$(…)` and `${…}` do not count."""
        pattern = re.compile(rf"(?:\$\([^)]*\)|\$\{{[^}}]*\}}|[^{re.escape(signs)}])*")
        found = pattern.match(self._text, self._at)
        assert found
        self._at = found.end()
        return found[0]
