"""The settings file as a process meets it: each case is a fresh interpreter with its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django_celery_beat.schedulers import ModelEntry
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import AnonRateThrottle

from config import settings as site
from config.celery import app

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "emotions.example",
    "DATABASE_URL": "postgres://u:p@db/emotions",
    "AUTHOR_HASH_KEY": "h" * 50,
}


CODE = (
    "from django.conf import settings; print(settings.DATABASES['default']['ENGINE'], len(settings.SECRET_KEY));"
    "from config.middleware import POLICY; print(POLICY)"
)


def start(tmp_path: Path, code: str = CODE, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "EMOTIONS_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings", **variables}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_embedded_default_makes_its_own_secret_and_keeps_it(tmp_path):
    first, second = start(tmp_path), start(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "sqlite3" in first.stdout
    secret = tmp_path / "secret_key"
    assert second.stdout == first.stdout
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) >= 50


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "AUTHOR_HASH_KEY"])
def test_production_refuses_to_start_without(tmp_path, name):
    result = start(tmp_path, **{k: v for k, v in SAFE.items() if k != name})
    assert result.returncode != 0
    assert f"{name} must be set" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("DATABASE_URL", "sqlite:////tmp/x", "must name a PostgreSQL database"),
        ("ALLOWED_HOSTS", "*", "must name the hosts"),
        ("SECRET_KEY", "short", "50 characters"),
        ("RETAIN_AUDIT_DAYS", "7", "must be 30 or more"),
        ("RETAIN_LOGS_DAYS", "-1", "outside 0..36500"),
        (
            "AWS_ENDPOINT_URL_S3",
            "http://169.254.169.254/latest",
            "AWS_ENDPOINT_URL_S3='http://169.254.169.254/latest' is not http(s)://host",
        ),
        ("AWS_ACCESS_KEY_ID", "alone", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together"),
        ("MEDIA_BUCKET", "../other", "MEDIA_BUCKET='../other' is no name of a bucket"),
        ("MEDIA_PREFIX", "/clips", "MEDIA_PREFIX='/clips' is no prefix"),
        ("LEASE_S", "soon", "LEASE_S='soon' is not a whole number"),
        ("AUTHOR_HASH_KEY", "guess", "32 characters or more"),
        ("THROTTLE_USER", "6000", "THROTTLE_USER='6000' is no rate like 120/min"),
        ("THROTTLE_ANON", "120/fortnight", "THROTTLE_ANON='120/fortnight' is no rate"),
        ("DURATION_MIN_S", "200", "no clip would be kept"),
        ("TRAIN_STALE_S", "6", "a run that lives would be taken for dead"),
        ("TRAIN_TIME_LIMIT_S", "9e6", "outside 1..604800"),
    ],
)
def test_production_refuses_unsafe_values(tmp_path, name, value, complaint):
    result = start(tmp_path, **{**SAFE, name: value})
    assert result.returncode != 0
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("more", "media"),
    [
        ({}, "media-src 'self' blob:;"),
        ({"MEDIA_BUCKET": "clips", "AWS_DEFAULT_REGION": "eu-west-1"}, "media-src 'self' blob: https://s3.eu-west-1.amazonaws.com;"),
        ({"MEDIA_BUCKET": "clips", "S3_PUBLIC_URL": "https://c.example:9"}, "media-src 'self' blob: https://c.example:9;"),
    ],
)
def test_production_starts_with_real_values(tmp_path, more, media):
    result = start(tmp_path, **SAFE, **more)
    assert media in result.stdout
    assert result.returncode == 0, result.stderr
    assert "postgresql" in result.stdout


def test_of_processes_that_start_at_once_none_reads_half_a_secret(tmp_path, monkeypatch):
    """The other one starts while the first has the name but not yet the words."""
    monkeypatch.setattr(site, "VAR_DIR", tmp_path)
    other: list[str] = []

    def words(size: int) -> str:
        if not other:
            other.append("")
            other[0] = site.private_file("key")
        return "w" * size + str(len(list(tmp_path.iterdir())))

    monkeypatch.setattr(site.secrets, "token_urlsafe", words)
    first = site.private_file("key")
    assert first == other[0] != ""
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_folder_with_odd_signs_in_its_name_holds_the_database(tmp_path):
    folder = tmp_path / "50% of #1 è?"
    told = start(folder, "from django.conf import settings; print(settings.DATABASES['default']['NAME'])")
    assert told.stdout.strip() == str(folder / "emotions.sqlite3"), told.stderr


SEEN = """
import json, django
django.setup()
from django.conf import settings
from django.test import Client
answer = lambda path: Client(HTTP_HOST="web").get(path).status_code
print(json.dumps({
    "statuses": [answer("/metrics"), answer("/healthz"), answer("/sign-in/")],
    "trusts": bool(settings.SECURE_PROXY_SSL_HEADER),
    "proxies": settings.REST_FRAMEWORK["NUM_PROXIES"],
    "patience": settings.DATABASES["default"]["OPTIONS"],
}))
"""


@pytest.mark.parametrize("behind", [True, False])
def test_inside_the_network_figures_and_health_are_had_without_tls_and_only_a_proxy_is_believed(tmp_path, behind):
    """Prometheus asks web:8000 itself: sent to https, as a browser is, it would find nobody."""
    more = {"ALLOWED_HOSTS": "web", "METRICS_TOKEN": "t" * 40, "BEHIND_PROXY": str(behind), "LOG_LEVEL": "ERROR"}
    done = start(tmp_path, SEEN, **{**SAFE, **more, "DATABASE_URL": "postgres://u:p@db/emotions?sslmode=verify-full&connect_timeout=2"})
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["statuses"] == [403, 200, 301]
    assert (seen["trusts"], seen["proxies"]) == (behind, int(behind))
    assert (seen["patience"]["sslmode"], int(seen["patience"]["connect_timeout"]), seen["patience"]["keepalives_count"]) == (
        "verify-full",
        2,
        3,
    )


def test_nobody_chooses_the_address_that_the_apis_limit_counts():
    request = APIRequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": "203.0.113.9"})
    assert AnonRateThrottle().get_ident(request) == "192.0.2.1"


@pytest.mark.django_db
@pytest.mark.parametrize("name", site.CELERY_BEAT_SCHEDULE)
def test_what_beat_sends_does_not_pile_up_while_no_worker_is_there(name):
    entry = ModelEntry.from_entry(name, app=app, **site.CELERY_BEAT_SCHEDULE[name])
    assert 10 * 60 <= entry.options.get("expires", 0) <= 24 * 60 * 60
