"""Label Studio and doccano beside us: installed by pip, each into an environment of its own, filled alike and asked alike.

They lie in .venv-peers (BENCH_PEERS names another folder) and stay there. One that cannot be installed or does not start is told by
name, with the last thing it said. Label Studio runs as its own command runs it, on a PostgreSQL like ours and on its default SQLite.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).parent.parent
ENVIRONMENTS = Path(os.environ.get("BENCH_PEERS", CHECKOUT / ".venv-peers"))
LABEL_STUDIO, DOCCANO = "label-studio==1.23.2", "doccano==1.8.4"
START_S = 240
PEOPLE = 8
# Run by Label Studio's own Python: its tables, eight people of one organisation with their keys, one project.
PREPARE = """
import json, sys
from pathlib import Path
import label_studio
sys.path.insert(0, str(Path(label_studio.__file__).parent))
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from organizations.models import Organization
from projects.models import Project
from rest_framework.authtoken.models import Token
from users.models import User
people = [User.objects.create_user(email=f"p{n}@bench.test", password="a long password") for n in range(int(sys.argv[1]))]
organization = Organization.create_organization(created_by=people[0], title="bench")
for person in people:
    organization.add_user(person)
    person.active_organization = organization
    person.save()
organization.jwt.legacy_api_tokens_enabled = True
organization.jwt.save()
choices = "".join(f'<Choice value="{name}"/>' for name in ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension"))
config = f'<View><Video name="video" value="$video"/><Choices name="emotion" toName="video">{choices}</Choices></View>'
project = Project.objects.create(title="bench", created_by=people[0], organization=organization, label_config=config)
print(json.dumps({"project": project.pk, "keys": [Token.objects.get_or_create(user=person)[0].key for person in people]}))
"""


class Unusable(Exception):
    """The peer cannot be installed or does not start; the message is the last thing it said."""


def label_studio(folder: Path, database_url: str, *, samples: int, run: Callable[..., dict[str, Any]], port: int) -> dict[str, Any]:
    """Figures for 1 and for 8 annotators, and how many tasks went to more than one of them; `unusable` where it could not be had."""
    try:
        binaries = installed(LABEL_STUDIO, "psycopg2-binary")
        environment = label_studio_environment(folder, database_url)
        prepared = json.loads(said([str(binaries / "python"), "-c", PREPARE, str(PEOPLE)], environment).splitlines()[-1])
        command = [str(binaries / "label-studio"), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
        with serving(command, environment, port):
            given: Counter[int] = Counter()
            tasks = [{"video": f"/clips/{number}.mp4"} for number in range(samples)]
            project, keys = prepared["project"], prepared["keys"]
            ask(port, keys[0], "POST", f"/api/projects/{project}/import", tasks)

            def annotate(port: int, key: str, until: float, times: dict[str, list[float]]) -> None:
                label(port, key, project, until, times, given)

            alone, together = run(port, keys[:1], annotate), run(port, keys, annotate)
    except Unusable as problem:
        return {"unusable": str(problem)}
    twice = sum(number > 1 for number in given.values())
    return {"1 annotators": alone, f"{PEOPLE} annotators": together, "tasks": samples, "given to more than one": f"{twice} of {len(given)}"}


def label(port: int, key: str, project: int, until: float, times: dict[str, list[float]], given: Counter[int]) -> None:
    """Takes and annotates as its page does: one GET for the next task, one POST for the annotation."""
    chosen = {"from_name": "emotion", "to_name": "video", "type": "choices", "value": {"choices": ["Fear"]}}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {"result": [chosen], "lead_time": 1.0}
    while time.monotonic() < until:
        try:
            started = time.perf_counter()
            task = asked(connection, key, "GET", f"/api/projects/{project}/next", None)
            taken = time.perf_counter()
            asked(connection, key, "POST", f"/api/tasks/{task['id']}/annotations/?project={project}", body)
        except Unusable:  # 500 "database is locked", on SQLite, at either step; the pair does not count
            continue
        times["next"].append(taken - started)
        times["submit"].append(time.perf_counter() - taken)
        given[task["id"]] += 1


def ask(port: int, key: str, method: str, path: str, body: Any) -> Any:
    return asked(http.client.HTTPConnection("127.0.0.1", port, timeout=600), key, method, path, body)


def asked(connection: http.client.HTTPConnection, key: str, method: str, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Token {key}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise Unusable(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text)


def label_studio_environment(folder: Path, database_url: str) -> dict[str, str]:
    found = {
        **os.environ,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "label_studio.core.settings.label_studio",
        "DJANGO_DB": "default" if database_url else "sqlite",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "SECRET_KEY": uuid.uuid4().hex,
    }
    if database_url:
        parts = urlsplit(database_url)
        found |= {"POSTGRE_HOST": str(parts.hostname), "POSTGRE_PORT": str(parts.port), "POSTGRE_USER": str(parts.username)}
        found |= {"POSTGRE_NAME": parts.path.lstrip("/"), "POSTGRE_PASSWORD": ""}
    return found


def doccano(folder: Path) -> dict[str, Any]:
    """Whether a fresh installation starts. It knows no video and no assignment: there is no pair to be measured."""
    try:
        binaries = installed(DOCCANO)
        said([str(binaries / "doccano"), "init"], {**os.environ, "HOME": str(folder)})
    except Unusable as problem:
        return {"unusable": str(problem)}
    return {"starts": True, "not measured": "it knows neither video nor assignment: everybody is given everything"}


def installed(requirement: str, *more: str) -> Path:
    """The folder of the peer's programs, installed where they are not yet. Raises Unusable."""
    environment = ENVIRONMENTS / requirement
    if not (environment / "installed").exists():
        said([sys.executable, "-m", "venv", "--clear", str(environment)], dict(os.environ))
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        said([*pip, requirement, *more], dict(os.environ))
        (environment / "installed").touch()
    return environment / "bin"


def said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        raise Unusable(f"{Path(command[0]).name}: {words[-1]}")
    return done.stdout


@contextlib.contextmanager
def serving(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as process:
        try:
            wait_for(port, process)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.3)
    raise Unusable(f"it does not answer on port {port}")
