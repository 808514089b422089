"""The routing engine in a container, run as ECS runs it from roads.yaml.

Skipped where no Docker engine answers. Takes half a minute, more when the image is built anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from service.local.templates import Template
from tests.support import grid_city
from tests.support.infrastructure import PROJECT, wait_until
from tests.support.task_containers import docker, health_of, rendered, why_not

IMAGE = "wildrydes-roads-of-the-grid"
missing = why_not()
pytestmark = [
    pytest.mark.skipif(missing is not None, reason=missing or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    """The container of the definition, on the image of a small city."""
    docker("build", "--network", "host", "-t", "wildrydes-roads", f"{PROJECT}/docker/roads")
    grid_city.write(tmp_path / "city.osm")
    (tmp_path / "Dockerfile").write_text("FROM wildrydes-roads\nCOPY city.osm /roads/\n")
    docker("build", "-t", IMAGE, str(tmp_path))
    task = Template("roads.yaml", {"Image": IMAGE, "Extract": "/roads/city.osm"}).properties("Task")
    (container,) = task["ContainerDefinitions"]
    name = f"wildrydes-{uuid.uuid4().hex[:8]}-roads"
    docker("run", "--detach", "--name", name, *rendered(task, container, {}), IMAGE)
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def test_the_engine_prepares_its_city_answers_and_ends_within_its_stop_timeout(engine: str) -> None:
    wait_until(lambda: health_of(engine) == "healthy", "the health of the engine", 300)
    port = docker("port", engine, "5000").splitlines()[0].rpartition(":")[2]
    places = [grid_city.corner(0, 0), grid_city.corner(1, 1)]
    pairs = ";".join(f"{place.longitude},{place.latitude}" for place in places)
    url = f"http://127.0.0.1:{port}/table/v1/driving/{pairs}"
    answer = urllib3.request("GET", url, timeout=10).json()
    assert answer["code"] == "Ok"
    assert answer["durations"][0][1] > 0
    docker("stop", engine)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", engine) != "137"
