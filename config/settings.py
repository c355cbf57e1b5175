"""Every setting, in one file, read strictly from the environment (docs/architecture.md lists them).

The default is the embedded development set-up: SQLite in WAL mode, Celery's filesystem broker, files under var/.
With DEBUG off the site refuses to start without a secret key, hosts and a real database.
"""

import os
import secrets
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from config.env import Environment

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("EMOTIONS_VAR", str(BASE_DIR / "var"))).resolve()
DEBUG = env.flag("DEBUG", True)
VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def private_file(name: str) -> str:
    """A random secret kept in var/ with mode 0600, made once: development needs no set-up and has no known default."""
    path = VAR_DIR / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written aside and put in place whole: of several processes that start at once, none may read a half of it.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{name}-") as draft:  # mode 0600
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()


def required_outside_debug(name: str, development: str) -> str:
    value = env.text(name, development if DEBUG else "")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when DEBUG is off")
    return value


# --- who may reach the site -------------------------------------------------------------------------------------
SECRET_KEY = env.text("SECRET_KEY", "") or (private_file("secret_key") if DEBUG else "")
if not SECRET_KEY or (not DEBUG and len(SECRET_KEY) < 50):
    raise ImproperlyConfigured("SECRET_KEY must be set, 50 characters or more, when DEBUG is off")
ALLOWED_HOSTS = [host.strip() for host in required_outside_debug("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if host.strip()]
if not DEBUG and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts when DEBUG is off, not '*'")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
# The key of the keyed hash that stands for an author (docs/responsible-use.md); kept outside the database.
AUTHOR_HASH_KEY = env.text("AUTHOR_HASH_KEY", "") or (private_file("author_hash_key") if DEBUG else "")
if not AUTHOR_HASH_KEY or (not DEBUG and len(AUTHOR_HASH_KEY) < 32):  # a key that can be guessed names the authors again
    raise ImproperlyConfigured("AUTHOR_HASH_KEY must be set, 32 characters or more, when DEBUG is off")

# --- parts ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "django_celery_beat",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "crawler",
    "annotation",
    "qa",
    "training",
    "config",
]
MIDDLEWARE = [
    "config.logs.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentPolicyMiddleware",
    "config.middleware.NoNulMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.audit.AuditMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.second_factor.RequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.navigation.pages",
            ]
        },
    }
]

# --- database ---------------------------------------------------------------------------------------------------
DATABASE_URL = required_outside_debug("DATABASE_URL", f"sqlite:///{quote(str(VAR_DIR / 'emotions.sqlite3'))}")
if DATABASE_URL.startswith("sqlite:") and not DEBUG:
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database when DEBUG is off")
try:
    DATABASES: dict[str, Any] = {"default": dict(dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True))}
except ValueError as error:  # the value itself is not said: a password may be in it
    raise ImproperlyConfigured("DATABASE_URL is no address of a database, such as postgres://user:password@host/name") from error
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    SILENCED_SYSTEM_CHECKS = ["models.W040"]  # SQLite leaves out the columns that an index carries along; it says so before every command
    # IMMEDIATE takes the write lock when a transaction begins: two writers queue up instead of failing half-way.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA mmap_size=134217728; PRAGMA cache_size=-20000;",
    }
else:
    # A server that is gone without a word must not hold a process for minutes: it is another's turn, or time to say 503.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people -----------------------------------------------------------------------------------------------------
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["config.signin.ThrottledBackend"]
# Whether a proxy of ours stands in front: then the last X-Forwarded-For is the visitor's address, otherwise nobody may claim one.
BEHIND_PROXY = env.flag("BEHIND_PROXY", not DEBUG)
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# The second factor and the house's own sign-in server (config/second_factor.py, config/single_sign_on.py); allauth's own doors stay shut.
SECOND_FACTOR_ROLES = env.names("SECOND_FACTOR_ROLES")  # roles that may do nothing without a second factor
MFA_ADAPTER = "config.second_factor.Adapter"
MFA_FORMS = {"authenticate": "config.second_factor.CodeForm", "reauthenticate": "config.second_factor.CodeAgainForm"}
MFA_TOTP_ISSUER = "eMotions"
MFA_TOTP_TOLERANCE = 1  # a telephone's clock may be half a minute wrong
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are entered by managers
ACCOUNT_ADAPTER = "config.single_sign_on.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # tries are counted in the audit log (config/signin.py), the same on every machine
SOCIALACCOUNT_ADAPTER = "config.single_sign_on.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = True
OIDC_ISSUER = env.text("OIDC_ISSUER", "").rstrip("/")  # https://…, as the server calls itself; empty: off
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", "")
if len({bool(value) for value in (OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET)}) > 1:
    raise ImproperlyConfigured("OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET must be set together, or none of them")
OIDC_NAME = env.text("OIDC_NAME", "OpenID Connect")  # what the button on the sign-in page calls it
OIDC_CREATE = env.flag("OIDC_CREATE", False)  # make an account, without a role, for whoever the server sends
OIDC_INNER_HOSTS = env.names("OIDC_INNER_HOSTS")  # host:port of a sign-in server inside the own network; any other must be https and public
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if not DEBUG:
    SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", True)
    # Asked inside the own network, past the proxy: by the containers' health checks and by Prometheus, which asks with its token.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^api/v1/healthz$", r"^api/v1/readyz$", r"^metrics$"]
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES", True)
    SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", 60 * 60 * 24 * 365)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    if BEHIND_PROXY:  # otherwise whoever asks could claim it
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- language and time ------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

# --- files ------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = VAR_DIR / "media"
RELEASES_DIR = VAR_DIR / "releases"
RUNS_DIR = VAR_DIR / "runs"
OPINIONS_DIR = VAR_DIR / "opinions"  # what the three models of annotators say of everybody and of every label, as files
# Clips lie under MEDIA_ROOT or, where MEDIA_BUCKET names one, in a bucket. Which store that is, and its keys, come from the
# environment alone: no page, file or command takes an address of a store.
S3_REGION = env.matching("AWS_DEFAULT_REGION", "us-east-1", pattern=r"[a-z0-9-]+", what="region")
S3_ENDPOINT_URL = env.origin("AWS_ENDPOINT_URL_S3", f"https://s3.{S3_REGION}.amazonaws.com")
S3_PUBLIC_URL = env.origin("S3_PUBLIC_URL", S3_ENDPOINT_URL)  # where browsers find the same store
S3_ACCESS_KEY, S3_SECRET_KEY = env.text("AWS_ACCESS_KEY_ID", ""), env.text("AWS_SECRET_ACCESS_KEY", "")
S3_SESSION_TOKEN = env.text("AWS_SESSION_TOKEN", "")
if bool(S3_ACCESS_KEY) != bool(S3_SECRET_KEY):
    raise ImproperlyConfigured(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or neither for the machine's own role"
    )
MEDIA_BUCKET = env.matching("MEDIA_BUCKET", "", pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", what="name of a bucket")
MEDIA_PREFIX = env.matching("MEDIA_PREFIX", "", pattern=r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", what="prefix like emotions/clips")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "clips": {"BACKEND": "crawler.storage.bucket.Bucket", "OPTIONS": {"bucket_name": MEDIA_BUCKET, "location": MEDIA_PREFIX}}
    if MEDIA_BUCKET
    else {"BACKEND": "crawler.storage.Disk"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
# nginx serves clips itself where this names its internal location (X-Accel-Redirect); empty: the site streams them.
MEDIA_ACCEL_LOCATION = env.text("MEDIA_ACCEL_LOCATION", "")
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 2**20

# --- tasks ------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", "filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem:"):
    QUEUE_DIR = VAR_DIR / "queue"
    for folder in ("messages", "processed", "control"):
        (QUEUE_DIR / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(QUEUE_DIR / "messages"),
        "data_folder_out": str(QUEUE_DIR / "messages"),
        "processed_folder": str(QUEUE_DIR / "processed"),
        "control_folder": str(QUEUE_DIR / "control"),
        "polling_interval": 0.05,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    # Longer than every task but a training run, which lasts days: its message comes again meanwhile and finds the run taken.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 7 * 60 * 60, "socket_connect_timeout": 5, "socket_keepalive": True}
CELERY_TASK_IGNORE_RESULT = True  # the state of a job is a row in the database, never a Celery result
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True  # and counted: a task that kills every worker ends on the dead-letter page
CELERY_TASK_TIME_LIMIT = 60 * 60
CELERY_TASK_SOFT_TIME_LIMIT = 55 * 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue("default"), Queue("crawl"), Queue("gpu")]
CELERY_TASK_ROUTES = {
    "crawler.*": {"queue": "crawl"},
    "training.tasks.start_run": {"queue": "gpu"},
    "training.tasks.offer_prelabels": {"queue": "gpu"},
    "training.tasks.write_windows": {"queue": "gpu"},
    "training.tasks.prepare_releases": {"queue": "gpu"},
}
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SYNC_EVERY = 1  # each sending is written down at once: a beat that was killed sends nothing a second time


def by_clock(task: str, *, expires_s: int, **when: Any) -> dict[str, Any]:
    """An entry of the schedule. While no worker is there its messages do not pile up: each expires once the next ones are due.

    Never before ten minutes: the clocks of two machines may differ.
    """
    return {"task": task, "schedule": crontab(**when), "options": {"expire_seconds": expires_s}}


MINUTE, HOUR, DAY = 60, 60 * 60, 24 * 60 * 60
CELERY_BEAT_SCHEDULE = {
    "crawl-due-stages": by_clock("crawler.tasks.crawl_due_stages", minute="*/10", expires_s=10 * MINUTE),
    "resume-stale-videos": by_clock("crawler.tasks.resume_stale", minute="*/5", expires_s=10 * MINUTE),
    "distribute": by_clock("annotation.tasks.distribute", minute="*/5", expires_s=10 * MINUTE),
    "expire-leases": by_clock("annotation.tasks.expire_leases", minute="*", expires_s=10 * MINUTE),
    "deliver-due": by_clock("annotation.tasks.deliver_due", minute="*", expires_s=10 * MINUTE),
    "quality-report": by_clock("qa.tasks.consistency_report", minute=0, hour=3, expires_s=DAY),
    "second-opinions": by_clock("qa.tasks.second_opinions", minute=20, hour=3, expires_s=DAY),
    "dataset-statistics": by_clock("qa.tasks.dataset_statistics", minute=5, expires_s=HOUR),
    "resume-lost-releases": by_clock("qa.tasks.resume_lost_jobs", minute="*/5", expires_s=10 * MINUTE),
    "retention": by_clock("config.tasks.retention_sweep", minute=40, hour=4, expires_s=DAY),
    "prepare-releases": by_clock("training.tasks.prepare_releases", minute=30, expires_s=HOUR),
    "resume-stale-runs": by_clock("training.tasks.resume_stale", minute="*/5", expires_s=10 * MINUTE),
}

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.tokens.HashedTokenAuthentication",  # first: its challenge makes "not signed in" a 401, not a 403
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "annotation.api.base.Pages",
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "config.api.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle", "rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env.rate("THROTTLE_USER", "6000/min"), "anon": env.rate("THROTTLE_ANON", "120/min")},
    "NUM_PROXIES": int(BEHIND_PROXY),  # nobody chooses the address that is counted
}
SPECTACULAR_SETTINGS = {
    "TITLE": "eMotions",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.api.refusals_documented"],
}

# --- crawling (Sec. III-A) --------------------------------------------------------------------------------------
CHROMIUM_BINARY = env.text("CHROMIUM_BINARY", "/usr/bin/chromium")
CHROMEDRIVER_BINARY = env.text("CHROMEDRIVER_BINARY", "/usr/bin/chromedriver")
SELENIUM_GRID_URL = env.text("SELENIUM_GRID_URL", "")  # empty: a local Chromium
# Sends every platform host to this address (host:port) instead of the Internet: the replica of demo/ and of the tests.
CRAWL_REPLICA = env.text("CRAWL_REPLICA", "")
CRAWL_REPLICA_CA = env.text("CRAWL_REPLICA_CA", "")  # the replica's test CA, a PEM file
CRAWL_USER_AGENT = env.choice("CRAWL_USER_AGENT", "honest", {"honest", "pool"})  # pool: the paper's User-Agent spoofing, recorded per stage
CRAWL_CONTACT = env.text("CRAWL_CONTACT", "")  # sent in the From header
CRAWL_DELAY_S = env.number("CRAWL_DELAY_S", 2.0, maximum=3600)  # least time between two requests to one host
NSFW_MODEL = env.text("NSFW_MODEL", "")  # an ONNX file that looks at pictures; empty: the installed package's weights, if any; off
PICTURE_THRESHOLD = env.number("PICTURE_THRESHOLD", 0.8, maximum=1)  # from here on the makers of Open-NSFW call a picture unsafe
ONSCREEN_TEXT = env.flag("ONSCREEN_TEXT", True)  # read words in the pictures (rapidocr, a second per clip)
EMOTION_WINDOWS = env.text("EMOTION_WINDOWS", str(VAR_DIR / "windows"))  # <sha256>.npy: what a trained network said of each clip's windows
REVIEWERS = env.integer("REVIEWERS", 1, minimum=1, maximum=5)  # people who must agree about a doubtful clip
VIOLENCE_MODEL = env.text("VIOLENCE_MODEL", "")  # likewise; without one clips are only ranked for review
CRAWL_PROXY = env.text("CRAWL_PROXY", "")
CRAWL_COOKIES = env.text(
    "CRAWL_COOKIES", ""
)  # a cookies.txt (Netscape's format) for the platforms it names; recorded per stage that it is sent
DURATION_MIN_S = env.number("DURATION_MIN_S", 2.46)  # Tab. II, shortest
DURATION_MAX_S = env.number("DURATION_MAX_S", 163.77)  # Tab. II, longest
if DURATION_MIN_S >= DURATION_MAX_S:
    raise ImproperlyConfigured(
        f"DURATION_MIN_S={DURATION_MIN_S:g} must be less than DURATION_MAX_S={DURATION_MAX_S:g}: no clip would be kept"
    )

# --- labelling (Sec. III-D) -------------------------------------------------------------------------------------
LEASE_S = env.integer("LEASE_S", 15 * 60, minimum=10)  # how long an assignment stays with a person who shows no life
UNDO_S = env.integer("UNDO_S", 5 * 60)
BLIND_EMOTION = env.flag("BLIND_EMOTION", False)  # hide the emotion that an adjective stands for
SHOW_SPREAD = env.flag("SHOW_SPREAD", False)  # leaders and the expert see the earlier votes' spread, without names
ASSIGNMENT_POLICY = env.choice(
    "ASSIGNMENT_POLICY", "even", {"even", "weighted", "quota"}
)  # how groups share the videos (annotation/services/distribution.py)
PRELABEL_ORDER = env.flag("PRELABEL_ORDER", False)  # what a finished run is least certain of comes first in the members' queues
# Members may ask what a finished run expects: nowhere, in batches that were opened so, everywhere.
PRELABEL_HINT = env.choice("PRELABEL_HINT", "off", {"off", "batches", "all"})
QUALIFICATION_ATTEMPTS = env.integer("QUALIFICATION_ATTEMPTS", 3, minimum=1)  # per part of the labelling test
GOLD_SHARE = env.number("GOLD_SHARE", 0.03, maximum=0.5)  # hidden gold items per vote
GOLD_LEAST = env.integer("GOLD_LEAST", 10, minimum=1)  # gold votes before a person can be paused by them
GOLD_PAUSE_BELOW = env.number("GOLD_PAUSE_BELOW", 60.0, maximum=100)  # percent right
REPEAT_SHARE = env.number("REPEAT_SHARE", 0.05, maximum=0.5)  # votes that return to the same person, blind
REPEAT_AFTER_DAYS = env.integer("REPEAT_AFTER_DAYS", 7)

# --- announcements to other systems (webhooks) ------------------------------------------------------------------
# Receivers (host:port) that may be inside the own network or speak http; every other must be https and public.
WEBHOOK_INNER_HOSTS = env.names("WEBHOOK_INNER_HOSTS")

# --- training (Sec. V) ------------------------------------------------------------------------------------------
TRAIN_ENGINE = env.text("TRAIN_ENGINE", "training.engine")  # the package whose train and evaluate modules are run as child processes
TRAIN_GPUS = env.names("TRAIN_GPUS")  # indexes that runs may use; empty: all; none: the CPU even where there are GPUs
TRAIN_LOCKS_DIR = VAR_DIR / "locks"  # on one machine, every worker must see the same folder: that is how two runs never share a GPU
TRAIN_HEARTBEAT_S = env.number("TRAIN_HEARTBEAT_S", 5.0, minimum=0.05)
TRAIN_STALE_S = env.number("TRAIN_STALE_S", 120.0, minimum=0.2)  # no heartbeat for so long: the worker is dead
if TRAIN_STALE_S < 3 * TRAIN_HEARTBEAT_S:
    raise ImproperlyConfigured(
        f"TRAIN_STALE_S={TRAIN_STALE_S:g} must be three times TRAIN_HEARTBEAT_S or more: a run that lives would be taken for dead"
    )
TRAIN_GRACE_S = env.number("TRAIN_GRACE_S", 60.0)  # from SIGTERM (checkpoint, then stop) to SIGKILL
PREPARE_RELEASES = env.flag("PREPARE_RELEASES", True)  # make the newest releases ready to be trained on, once an hour
TRAIN_TIME_LIMIT_S = env.number("TRAIN_TIME_LIMIT_S", 7 * 24 * 3600.0, minimum=1, maximum=7 * 24 * 3600.0)  # of the task: longer

# --- how long things are kept (config/retention.py); 0: for ever ------------------------------------------------
RETAIN_RECORDS_DAYS = env.integer("RETAIN_RECORDS_DAYS", 0, maximum=36500)
RETAIN_REJECTED_DAYS = env.integer("RETAIN_REJECTED_DAYS", 0, maximum=36500)
RETAIN_DRAFTS_DAYS = env.integer("RETAIN_DRAFTS_DAYS", 0, maximum=36500)
RETAIN_LOGS_DAYS = env.integer("RETAIN_LOGS_DAYS", 0, maximum=36500)
RETAIN_TASKS_DAYS = env.integer("RETAIN_TASKS_DAYS", 0, maximum=36500)
RETAIN_AUDIT_DAYS = env.integer("RETAIN_AUDIT_DAYS", 0, maximum=36500)
if 0 < RETAIN_AUDIT_DAYS < 30:
    raise ImproperlyConfigured("RETAIN_AUDIT_DAYS must be 30 or more (0: for ever): sign-ins are counted from the audit log")

# --- watching ---------------------------------------------------------------------------------------------------
METRICS_TOKEN = env.text("METRICS_TOKEN", "")  # who sends it may read /metrics; empty: this machine alone may
SENTRY_DSN = env.text("SENTRY_DSN", "")  # where errors are told, without anything about people; empty: nowhere
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "development" if DEBUG else "production")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "config.logs.ContextFilter"}},
    "formatters": {
        "line": {
            "class": "config.logs.LineFormatter",
            "format": "{asctime} {levelname} {name} {request_id}{task_id} {message}",
            "style": "{",
        },
        "json": {"()": "config.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", "line", {"line", "json"}),
            "filters": ["context"],
        }
    },
    "loggers": {"faiss": {"level": "WARNING"}},  # it tells at every start which processor it found
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "INFO", {"DEBUG", "INFO", "WARNING", "ERROR"})},
}
