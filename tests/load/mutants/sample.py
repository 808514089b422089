"""Mutants: the product's files with one small mistake each, chosen by a seed.

Python is mutated by cosmic-ray's operators. The templates hold numbers that matter as much; each of
them can be ten times as large. A place in the code is drawn first and one of its mistakes then, so
that a comparison, which can be wrong in many ways, does not count for more than a number.
"""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

DRAWS = 1000
"""Most draws of a room: one with few places runs out of new ones."""

Place = tuple[tuple[int, int], tuple[int, int]]
"""Line and column where a piece of code begins, and where it ends."""

ROOMS = (
    "service/model",
    "service/core",
    "service/matching",
    "service/auth",
    "service/stores",
    "service/entrypoints/gunicorn.py",
    "worker",
    "docker/ecs",
)
_NUMBER = re.compile(r"(?<![\w.\-])\d+(?![\w.])")
_VARIABLES = ("core/VariableInserter", "core/VariableReplacer")
"""Operators that need a configuration."""


@dataclass(frozen=True)
class Mutant:
    """One file of the project, changed in one place."""

    path: str
    line: int
    before: str
    after: str

    @property
    def diff(self) -> str:
        lines = unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
        return "\n".join(list(lines)[3:])


def sample(project: Path, count: int, seed: int, rooms: Iterable[str] = ROOMS) -> list[Mutant]:
    """As many different mutants, spread evenly over the rooms."""
    draw = random.Random(seed)
    in_turn = zip_longest(*(_draws(project, room, draw) for room in rooms))
    return list(islice(filter(None, chain.from_iterable(in_turn)), count))


def _draws(project: Path, room: str, draw: random.Random) -> Iterator[Mutant]:
    """Mutants of the room's files, of long files more often; the same place only once."""
    top, drawn = project / room, set[tuple[str, Place]]()
    found = [top] if top.is_file() else sorted(top.rglob("*"))
    texts = {
        path.relative_to(project).as_posix(): path.read_text()
        for path in found
        if path.suffix in {".py", ".yaml"}
    }
    for _ in range(DRAWS):
        (name,) = draw.choices(list(texts), [len(text) for text in texts.values()])
        text = texts[name]
        places = sorted(_python_places(text) if name.endswith(".py") else _numbers(text))
        place = draw.choice(places) if places else None
        if place and (name, place) not in drawn:
            drawn.add((name, place))
            yield draw.choice(_mistakes(name, text, place))


def _mistakes(name: str, text: str, place: Place) -> list[Mutant]:
    changed = (
        [mutate_code(text, operator, number) for operator, number in _python_places(text)[place]]
        if name.endswith(".py")
        else [_ten_times(text, place)]
    )
    return [Mutant(name, place[0][0], text, after) for after in changed if after]


@cache
def _python_places(text: str) -> dict[Place, list[tuple[object, int]]]:
    """Where cosmic-ray can change the code, with what and at which of the operator's places."""
    places = defaultdict(list)
    nodes = list(ast_nodes(get_ast(text)))
    untouched = list(_never_run(ast.parse(text)))
    for name in plugins.operator_names():
        if name in _VARIABLES:
            continue
        operator = plugins.get_operator(name)()
        found = [place for node in nodes for place in operator.mutation_positions(node)]
        for number, place in enumerate(found):
            if not any(start <= place[0] and place[1] <= end for start, end in untouched):
                places[place].append((operator, number))
    return dict(places)


def _never_run(tree: ast.AST) -> Iterator[Place]:
    """Annotations, type aliases, and what only type checkers read; what `dataclass` is told."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as hint) | ast.AnnAssign(annotation=hint):
                yield _place(hint)
            case ast.FunctionDef(returns=ast.expr() as hint):
                yield _place(hint)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield _place(node)
            case ast.Assign(value=ast.Subscript() as alias):
                yield _place(alias)
            case ast.Call(func=ast.Name(id="dataclass")):
                yield _place(node)


def _place(node: ast.expr | ast.stmt) -> Place:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _numbers(text: str) -> Iterator[Place]:
    for number, line in enumerate(text.splitlines(), start=1):
        for found in _NUMBER.finditer(line.partition("#")[0]):
            yield (number, found.start()), (number, found.end())


def _ten_times(text: str, place: Place) -> str:
    (line, start), (_, end) = place
    lines = text.splitlines(keepends=True)
    whole = lines[line - 1]
    lines[line - 1] = f"{whole[:start]}{whole[start:end]}0{whole[end:]}"
    return "".join(lines)
