"""A migrated site to copy, so that each test breaks its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.machine import Machine, copy_of


@pytest.fixture(scope="session")
def site_template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "var"
    folder.mkdir()
    done = Machine(folder).manage("migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def make_machine(site_template: Path, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    machines: list[Machine] = []

    def make(**environment: str) -> Machine:
        folder = copy_of(site_template, tmp_path / f"var{len(machines)}")
        machines.append(Machine(folder, **environment))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()
