"""Mutants: the product's files with one small mistake each, chosen by a seed.

Python is mutated by cosmic-ray's operators. A number that is a setting becomes ten times as large
instead: a limit that is off by one is as good as before, and in other code it is a mistake. In
Redis' scripts and DynamoDB's expressions, which are strings to Python, a word is exchanged. A place
in the code is drawn first and one of its mistakes then, so that a comparison, which can be wrong in
many ways, does not count for more than a number.
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
    *("service/model", "service/core", "service/matching", "service/auth", "service/stores"),
    *("service/http", "service/api", "service/identity", "service/entrypoints"),
    *("worker", "docker/ecs", "service/command", "service/observability", "service/*.py"),
)
CONFIGURATION = (
    "service/entrypoints/gunicorn.py",
    *(f"worker/{name}.py" for name in ("app", "base", "media")),
)
_NUMBER = re.compile(r"(?<=[:\[,] )\"?(\d+)\"?(?=\s*[,}\]]|\s*$)")
_NOT_DRAWN = (
    # They need a configuration.
    *("core/VariableInserter", "core/VariableReplacer"),
    # For what this code compares (None, enums, small numbers, strings), the two mean the same.
    *("core/ReplaceComparisonOperator_Is_Eq", "core/ReplaceComparisonOperator_IsNot_NotEq"),
    *("core/ReplaceComparisonOperator_Eq_Is", "core/ReplaceComparisonOperator_NotEq_IsNot"),
)
_SCRIPT = re.compile(r"redis\.call|attribute_(not_)?exists|[=<>] [:?]")
"""What a string holds that Redis or DynamoDB runs."""

_EXCHANGED = {
    "==": "~=",
    "~=": "==",
    " < ": " <= ",
    " <= ": " < ",
    " > ": " >= ",
    " >= ": " > ",
    " and ": " or ",
    " or ": " and ",
    " + ": " - ",
    " - ": " + ",
    "not ": "",
    ", 'NX'": "",
    " AND ": " OR ",
    " OR ": " AND ",
    "attribute_not_exists": "attribute_exists",
    "attribute_exists": "attribute_not_exists",
    **{f"[{number}]": f"[{number + 1}]" for number in range(1, 20)},
}
_WORD = re.compile("|".join(re.escape(word) for word in sorted(_EXCHANGED, key=len, reverse=True)))
_NO_OPERATORS = ("parameters", "lambdef", "dictorsetmaker")
"""Where a star separates or unpacks; cosmic-ray takes it for a product."""


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
    drawn = set[tuple[str, Place]]()
    found = sorted(path for top in project.glob(room) for path in (top, *top.rglob("*")))
    texts = {
        path.relative_to(project).as_posix(): path.read_text()
        for path in found
        if path.suffix in {".py", ".yaml"}
    }
    for _ in range(DRAWS):
        (name,) = draw.choices(list(texts), [len(text) for text in texts.values()])
        text = texts[name]
        places = sorted(_places(name, text))
        place = draw.choice(places) if places else None
        if place and (name, place) not in drawn:
            drawn.add((name, place))
            if mistakes := _mistakes(name, text, place):
                yield draw.choice(mistakes)


def _places(name: str, text: str) -> set[Place]:
    numbers = set(_settings(name, text))
    if not name.endswith(".py"):
        return numbers
    untouched = list(_never_run(ast.parse(text)))
    return {
        place
        for place in numbers | _python_places(text).keys() | _words(text).keys()
        if not any(start <= place[0] and place[1] <= end for start, end in untouched)
    }


def _mistakes(name: str, text: str, place: Place) -> list[Mutant]:
    changed: list[str | None]
    if place in set(_settings(name, text)):
        changed = [_ten_times(text, place)]
    elif word := _words(text).get(place):
        changed = [_replaced(text, place, _EXCHANGED[word])]
    else:
        changed = [_mutated(text, *change) for change in _python_places(text)[place]]
    return [Mutant(name, place[0][0], text, after) for after in changed if after]


def _mutated(text: str, operator: object, number: int) -> str | None:
    try:
        mutated: str = mutate_code(text, operator, number)
        ast.parse(mutated)
    except (AttributeError, SyntaxError):
        # cosmic-ray cannot replace an exception with a dotted name, as in `except csv.Error`, and
        # it puts no parentheses around an assignment that it negates.
        return None
    return mutated


@cache
def _python_places(text: str) -> dict[Place, list[tuple[object, int]]]:
    """Where cosmic-ray can change the code, with what and at which of the operator's places."""
    places = defaultdict(list)
    nodes = list(ast_nodes(get_ast(text)))
    for name in plugins.operator_names():
        if name in _NOT_DRAWN:
            continue
        operator = plugins.get_operator(name)()
        found = [(node, place) for node in nodes for place in operator.mutation_positions(node)]
        for number, (node, place) in enumerate(found):
            if not (node.type == "operator" and node.parent.type in _NO_OPERATORS):
                places[place].append((operator, number))
    return dict(places)


@cache
def _words(text: str) -> dict[Place, str]:
    """The words that can be exchanged in what Redis or DynamoDB runs."""
    lines, found = text.splitlines(), {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and _SCRIPT.search(str(node.value)):
            assert node.end_lineno is not None
            for number in range(node.lineno, node.end_lineno + 1):
                for word in _WORD.finditer(lines[number - 1].partition("--")[0]):
                    found[(number, word.start()), (number, word.end())] = word[0]
    return found


def _never_run(tree: ast.AST) -> Iterator[Place]:
    """Code without an effect that a test can see.

    That is annotations, type aliases, what only type checkers read (also protocols), what
    `dataclass` is told, `zip(strict=...)`, which only checks, and what only saves time:
    `pipeline(transaction=False)` and how many results of a pure function are remembered.
    """
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", ()):
            if "lru_cache" in ast.unparse(decorator):
                (first, _), (last, _) = _place(decorator)
                yield (first, 0), (last + 1, 0)
        match node:
            case (
                ast.arg(annotation=ast.expr() as part)
                | ast.AnnAssign(annotation=part)
                | ast.FunctionDef(returns=ast.expr() as part)
                | (ast.If(test=ast.Name(id="TYPE_CHECKING")) as part)
                | ast.Assign(value=ast.Subscript() as part)
                | (ast.Call(func=ast.Name(id="dataclass" | "lru_cache")) as part)
                | (ast.ClassDef(bases=[ast.Name(id="Protocol"), *_]) as part)
                | ast.Call(func=ast.Name(id="zip"), keywords=[ast.keyword(value=part)])
                | ast.keyword(arg="transaction", value=(ast.Constant(value=False) as part))
            ):
                yield _place(part)


def _place(node: ast.expr | ast.stmt) -> Place:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _settings(name: str, text: str) -> Iterator[Place]:
    """Where a setting is a number other than 0: in templates, in the configuration of gunicorn and
    Celery, and where a module or class gives a name to the number."""
    if name.endswith(".py"):
        tree = ast.parse(text)
        named = [tree] if name in CONFIGURATION else _assignments(tree)
        numbers = (node for part in named for node in ast.walk(part))
        yield from (
            _place(each)
            for each in numbers
            if isinstance(each, ast.Constant) and type(each.value) in {int, float} and each.value
        )
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            found = _NUMBER.finditer(line.partition("#")[0])
            yield from (((number, f.start(1)), (number, f.end(1))) for f in found if int(f[1]))


def _assignments(tree: ast.Module) -> Iterator[ast.expr]:
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    for statement in chain(tree.body, *(each.body for each in classes)):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            yield statement.value


def _ten_times(text: str, place: Place) -> str:
    (line, start), (_, end) = place
    number = text.splitlines()[line - 1][start:end]
    ten_times = 10 * (int(number) if number.isdigit() else ast.literal_eval(number))
    return _replaced(text, place, str(ten_times))


def _replaced(text: str, place: Place, by: str) -> str:
    (line, start), (_, end) = place
    lines = text.splitlines(keepends=True)
    lines[line - 1] = f"{lines[line - 1][:start]}{by}{lines[line - 1][end:]}"
    return "".join(lines)
