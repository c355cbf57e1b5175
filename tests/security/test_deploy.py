"""The site as production starts it: Django's own deployment check finds nothing to say."""

import subprocess
import sys

from config.settings import BASE_DIR


def test_the_deployment_check_is_clean(tmp_path):
    environment = {
        "PATH": "/usr/bin:/bin", "EMOTIONS_VAR": str(tmp_path), "DEBUG": "false", "SECRET_KEY": "kX9-pQ2_vB7" * 7, "AUTHOR_HASH_KEY": "aY8-pQ2_vB7" * 7,
        "ALLOWED_HOSTS": "emotions.example", "DATABASE_URL": "postgres://emotions:x@127.0.0.1:1/emotions",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }  # fmt: skip
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
