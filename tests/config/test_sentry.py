"""Errors told to a Sentry: what broke, the ids that lead to the log, and nothing about people. A small server stands in for it."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from config.settings import BASE_DIR

pytestmark = pytest.mark.slow
SCRIPT = """
import django
django.setup()
import logging
from django.test import Client
from django.urls import path
from config import urls
from config.celery import app

def broken(request):
    title = "a caption of somebody"
    raise ZeroDivisionError("no such share of moira's")

urls.urlpatterns.append(path("broken/", broken))
Client(raise_request_exception=False).post(
    "/broken/?who=mallory", {"password": "hunter2"}, headers={"X-Request-ID": "request-0001", "Cookie": "a=biscuit", "Authorization": "Token t0ken"}
)

@app.task(name="tests.broken")
def task(name):
    raise LookupError("no such row")

app.conf.task_always_eager = True
task.apply(args=("bob",), task_id="task-0001")
logging.getLogger("site").error("the disk of %s is full", "alice")
import sentry_sdk
sentry_sdk.flush(20)
"""


class Sentry(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.told: list[str] = []


class Taking(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.told.append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(script: str, tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": "/usr/bin:/bin", "EMOTIONS_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    return subprocess.run([sys.executable, "-c", script], env=given, cwd=BASE_DIR, capture_output=True, text=True, timeout=300, check=False)


def test_errors_are_told_with_their_ids_and_without_people(sentry, tmp_path):
    done = run(SCRIPT, tmp_path, SENTRY_DSN=f"http://key@127.0.0.1:{sentry.server_port}/1", ALLOWED_HOSTS="testserver")
    assert done.returncode == 0, done.stderr
    events = [
        json.loads(line) for envelope in sentry.told for line in envelope.splitlines() if '"exception"' in line or '"logentry"' in line
    ]
    by_type = {event["exception"]["values"][-1]["type"]: event for event in events if "exception" in event}
    assert by_type["ZeroDivisionError"]["tags"] == {"request_id": "request-0001"}
    assert by_type["ZeroDivisionError"]["transaction"] == "/broken/"
    assert by_type["LookupError"]["tags"] == {"task_id": "task-0001"}
    assert any(event.get("logentry") == {"message": "the disk of %s is full"} for event in events)
    told = "".join(sentry.told)
    for private in ("mallory", "hunter2", "biscuit", "t0ken", "a caption of somebody", "bob", "alice", "moira", "testserver", "127.0.0.1:"):
        assert private not in told, private


def test_without_an_address_the_package_is_not_even_loaded(tmp_path):
    done = run("import django, sys; django.setup(); print('sentry_sdk' in sys.modules)", tmp_path)
    assert done.stdout.strip() == "False", done.stderr


def test_an_address_that_makes_no_sense_is_refused_at_the_start(tmp_path):
    done = run("import django; django.setup()", tmp_path, SENTRY_DSN="sentry.example")
    assert done.returncode != 0
    assert "SENTRY_DSN" in done.stderr
