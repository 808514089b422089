"""The architecture, kept by reading the imports of every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.stores import broker

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for top in ("service", "worker") for path in (ROOT / top).rglob("*.py") if path.is_file()
)
SHARED = {
    "service.bootstrap",
    "service.clock",
    "service.settings",
    "service.logs",
    "service.observability",
}

ONLY_IN = {
    "boto3": (
        "service/stores/dynamodb/",
        "service/stores/cognito.py",
        "service/stores/credentials.py",
        "service/local/",
    ),
    "botocore": (
        "service/stores/dynamodb/",
        "service/stores/credentials.py",
        "service/stores/cognito.py",
        "service/stores/photos.py",
        "service/identity/",
        "service/local/",
    ),
    "redis": ("service/stores/redis/", "service/stores/broker.py", "service/local/"),
    "celery": ("worker/", "service/stores/broker.py"),
    "kombu": ("worker/", "service/stores/broker.py"),
    "click": ("service/command/",),
    "flask": ("service/http/", "service/api/"),
    "flask_cors": ("service/http/", "service/api/"),
    "jwt": ("service/auth/", "service/local/"),
    "PIL": ("service/identity/pictures.py",),
    "urllib3": ("service/outbound.py", "service/local/"),
}
NUMERIC = {"numpy", "scipy", "h3"}


def modules_imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def located(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def in_package(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", SOURCES, ids=located)
def test_each_library_is_imported_only_where_it_belongs(path: Path) -> None:
    for module in modules_imported(path):
        homes = ONLY_IN.get(module.split(".")[0])
        assert homes is None or located(path).startswith(homes), f"{path} imports {module}"


PURE = {
    "service.model": (),
    "service.matching": ("service.model",),
    "service.core": ("service.model", "service.matching"),
}
"""The pure rooms, each with what it may import besides itself."""


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


@pytest.mark.parametrize(
    ("package", "path"),
    [(package, path) for package in PURE for path in modules_of(package)],
    ids=lambda value: located(value) if isinstance(value, Path) else value,
)
def test_the_pure_rooms_import_only_what_lies_below_them(package: str, path: Path) -> None:
    for module in modules_imported(path):
        top = module.split(".")[0]
        assert (
            in_package(module, package, *PURE[package])
            or (top in NUMERIC and package != "service.model")
            or top in sys.stdlib_module_names
        ), f"{path} imports {module}"


@pytest.mark.parametrize("path", [path for room in PURE for path in modules_of(room)], ids=located)
def test_the_pure_rooms_read_no_clock_and_no_environment(path: Path) -> None:
    read = re.findall(
        r"datetime\.now|utcnow|time\.(?:time|monotonic|sleep)\(|os\.environ|getenv",
        path.read_text(),
    )
    assert read == []


READS_THE_ENVIRONMENT = (
    "service/settings.py",
    # prometheus_client's own variable, which this module sets.
    "service/observability/directory.py",
    # Lambda functions and the development stack, which are no processes of the service.
    "service/identity/",
    "service/local/",
)


@pytest.mark.parametrize("path", SOURCES, ids=located)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    read = re.findall(r"os\.environ|getenv|import environ", path.read_text())
    assert read == [] or located(path).startswith(READS_THE_ENVIRONMENT)


@pytest.mark.parametrize("path", sorted((ROOT / "worker").rglob("*.py")), ids=located)
def test_the_worker_imports_only_the_shared_parts_of_the_service(path: Path) -> None:
    allowed = (
        "service.identity.pictures",
        "service.core",
        "service.matching",
        "service.model",
        "service.stores",
        *SHARED,
    )
    for module in modules_imported(path):
        if module.startswith("service."):
            assert in_package(module, *allowed), f"{path} imports {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "service").rglob("*.py")), ids=located)
def test_the_service_never_imports_the_worker_nor_the_development_stack(path: Path) -> None:
    for module in modules_imported(path):
        assert not in_package(module, "worker", "tests"), f"{path} imports {module}"
        if not located(path).startswith("service/local/"):
            assert not in_package(module, "service.local"), f"{path} imports {module}"


def test_every_queue_has_a_consumer_in_the_procfile() -> None:
    procfile = (ROOT / "Procfile").read_text()
    consumed = re.findall(r"^(?:worker|media):.*--queues[ =](\S+)", procfile, re.MULTILINE)
    assert {name for names in consumed for name in names.split(",")} == {
        *broker.QUEUES,
        broker.MEDIA_QUEUE,
    }


def test_the_service_package_itself_is_empty() -> None:
    assert (ROOT / "service/__init__.py").read_text().strip() == ""


FLOORS = (
    {"memory"},
    {"addresses", "background", "breaker", "logs", "model", "strict"},
    {"matching", "outbound"},
    {"auth"},
    {"setting_types"},
    {"settings"},
    {"observability"},
    {"clock", "core"},
    {"stores"},
    {"authority", "identity", "hearing", "probes"},
    {"http"},
    {"api"},
    {"bootstrap"},
    {"command", "entrypoints", "worker"},
)
"""The rooms from the ground up. A room imports nothing that lies above it, and of its own floor
nothing but itself."""

FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "worker" else parts[1]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if "/local/" not in located(path)
        and located(path) not in {"service/__init__.py", "service/__main__.py"}
    ],
    ids=located,
)
def test_no_arrow_points_upwards(path: Path) -> None:
    own = room_of(located(path).removesuffix(".py").replace("/", "."))
    above = {
        module
        for module in modules_imported(path)
        if in_package(module, "service", "worker")
        and module not in {"service", "worker"}
        and (room := room_of(module)) != own
        and FLOOR_OF[room] >= FLOOR_OF[own]
    }
    assert above == set()


def test_the_api_loads_no_library_that_only_workers_need() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, service.api.app, service.bootstrap; print(*sys.modules)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "service.api.app" in loaded
    assert {"scipy", "PIL", "flower", "opentelemetry.exporter"}.isdisjoint(loaded)
