"""`./run test`: the static checks, then the tests, quick ones first; with arguments, only pytest with these arguments.

The tests run on SQLite; those that touch the database run on PostgreSQL as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHECKS = [
    ("ruff", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("layers", ["lint-imports"]),
    ("types", ["mypy"]),
    ("Django checks", ["python", "manage.py", "check", "--fail-level", "WARNING"]),
    ("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"]),
    ("API schema", ["python", "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull]),
]
EXIT_NO_TESTS = 5


def main(arguments: list[str]) -> int:
    failures: list[str] = []
    with servers.postgres() as postgres_url, servers.redis() as redis_url:
        env = {**os.environ, "TEST_REDIS_URL": redis_url, "TEST_POSTGRES_URL": postgres_url}
        env.setdefault("OMP_WAIT_POLICY", "passive")  # as training/engine/__init__.py, also where torch is loaded before it
        on_postgres = {**env, "DATABASE_URL": postgres_url}
        if arguments:
            steps = [
                ("on SQLite", pytest("-m", "", *arguments), env),
                ("on PostgreSQL", pytest("-m", "database or postgres", *arguments), on_postgres),
            ]
        else:
            steps = [(name, tool(*command), env) for name, command in CHECKS]
            steps += [
                ("quick tests on SQLite", pytest("-m", "not slow and not postgres", "-n", "2"), env),
                ("quick tests on PostgreSQL", pytest("-m", "(database or postgres) and not slow", "-n", "2"), on_postgres),
                ("slow tests on SQLite", pytest("-m", "slow and not postgres", "--durations", "15"), env),
                ("slow tests on PostgreSQL", pytest("-m", "slow and (database or postgres) and not browser"), on_postgres),
            ]
        for name, command, variables in steps:
            if step(name, command, variables) not in {0, EXIT_NO_TESTS}:
                failures.append(name)
    print(f"failed: {', '.join(failures)}" if failures else "everything passed", flush=True)
    return 1 if failures else 0


def pytest(*arguments: str) -> list[str]:
    return tool("pytest", *arguments)


def tool(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


def step(name: str, command: list[str], env: Mapping[str, str]) -> int:
    print(f"== {name}", flush=True)
    start = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    print(f"== {name}: {'ok' if status in {0, EXIT_NO_TESTS} else f'FAILED ({status})'} in {time.monotonic() - start:.0f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
