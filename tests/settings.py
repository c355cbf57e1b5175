"""The site's settings for tests: files in a throw-away folder, tasks run where they are called, quick password hashes."""

import os
import tempfile

os.environ["EMOTIONS_VAR"] = os.environ.get("EMOTIONS_TEST_VAR") or tempfile.mkdtemp(prefix="emotions-test-")
os.environ.setdefault("THROTTLE_USER", "1000000/min")
os.environ.setdefault("THROTTLE_ANON", "1000000/min")

from config.settings import *  # noqa: F403 - settings are overridden one by one
from config.settings import DATABASES, STATIC_ROOT, VAR_DIR

STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns of a folder that is not there

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in use: threads that race for a row see real locks.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
NSFW_MODEL, VIOLENCE_MODEL, ONSCREEN_TEXT = "off", "", False  # seconds per clip; their own tests switch them on
CELERY_TASK_EAGER_PROPAGATES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "clips": {"BACKEND": "crawler.storage.Disk"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
