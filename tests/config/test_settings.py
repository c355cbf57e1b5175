"""The settings file as a process meets it: each case is a fresh interpreter with its own environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "emotions.example",
    "DATABASE_URL": "postgres://u:p@db/emotions",
    "AUTHOR_HASH_KEY": "h" * 50,
}


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "EMOTIONS_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings", **variables}
    code = (
        "from django.conf import settings; print(settings.DATABASES['default']['ENGINE'], len(settings.SECRET_KEY));"
        "from config.middleware import POLICY; print(POLICY)"
    )
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
