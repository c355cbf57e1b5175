"""What the source may not hold: code from data, unguarded requests, an nginx alias that leads out."""

import ast
import re
from pathlib import Path

import pytest
from django.apps import apps

from config.settings import BASE_DIR

APPS = ("annotation", "config", "crawler", "qa", "training")
FILES = sorted(path for app in APPS for path in (BASE_DIR / app).rglob("*.py") if "migrations" not in path.parts)
# The only modules that may open a connection to elsewhere, and why.
OUTWARD = {
    "config/sentry.py": "errors, to the address that SENTRY_DSN names",
    "crawler/fetch/": "pages and clips, each address through the guard against private networks",
    "crawler/media/": "the sandboxed child that decodes",
    "crawler/storage/bucket.py": "the one S3 that the environment names",
    "training/engine/mllm_providers.py": "a model server that the operator names on the command line",
    "training/engine/shards.py": "shards at addresses that the researcher names on the command line",
}
CLIENTS = {
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "http.client",
    "urllib.request",
    "ftplib",
    "smtplib",
    "yt_dlp",
    "sentry_sdk",
    "boto3",
    "storages.backends.s3",
}
FROM_DATA = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}


def names(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def parsed() -> list[tuple[str, ast.Module]]:
    return [(str(path.relative_to(BASE_DIR)), ast.parse(path.read_text(encoding="utf-8"))) for path in FILES]


def test_nothing_is_unpickled():
    """The name of pickle's error may be known; nothing else of it."""
    assert [name for name, tree in parsed() if names(tree) & FROM_DATA and not only_the_error(tree)] == []


def only_the_error(tree: ast.AST) -> bool:
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    taken = {name for name in names(tree) if name.partition(".")[0] in FROM_DATA}
    return not modules & FROM_DATA and taken == {"pickle", "pickle.UnpicklingError"}


def test_weights_are_loaded_without_code():
    unsafe = []
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
                unsafe += [] if safe else [f"{name}:{node.lineno}"]
    assert unsafe == []


def test_no_text_is_run_as_code_or_as_a_template():
    forbidden = {"eval", "exec", "os.system", "os.popen", "Template", "engines.from_string", "yaml.load", "mark_safe"}
    calls = [
        f"{name}: {ast.unparse(node)}"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (ast.unparse(node.func) in forbidden or any(w.arg == "shell" and ast.unparse(w.value) != "False" for w in node.keywords))
    ]
    # What the Markdown parser makes of a release's card, all HTML in it escaped: tests/qa/test_pages.py, test_the_card_is_shown_formatted_and_brings_no_code.
    assert calls == ["qa/views/releases.py: mark_safe(parser.renderer.render(tokens, parser.options, {}))"]


def test_only_the_guarded_modules_reach_out():
    stray = [
        name
        for name, tree in parsed()
        if (names(tree) & CLIENTS or sockets(tree)) and not any(name.startswith(prefix) for prefix in OUTWARD)
    ]
    assert stray == []


def test_which_store_is_asked_comes_from_the_environment_alone():
    """No row, page, file or command line names one: whatever is given as endpoint_url is one of two settings."""
    given = {
        ast.unparse(word.value)
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "endpoint_url"
    }
    assert given == {"endpoint_url or settings.S3_ENDPOINT_URL", "settings.S3_PUBLIC_URL"}
    settings = (BASE_DIR / "config" / "settings.py").read_text(encoding="utf-8")
    assert re.findall(r"^(S3_\w+_URL) = (env\.origin)\(", settings, re.MULTILINE) == [
        ("S3_ENDPOINT_URL", "env.origin"), ("S3_PUBLIC_URL", "env.origin"),
    ]  # fmt: skip
    fields = [f"{model.__name__}.{field.name}" for model in apps.get_models() for field in model._meta.get_fields()]
    assert [name for name in fields if re.search("endpoint|bucket|s3", name.partition(".")[2])] == []


def sockets(tree: ast.AST) -> set[str]:
    """What is used of the module socket, the machine's own name aside."""
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "socket"}
    return used - {"gethostname"}


def test_no_template_lets_text_through_as_markup():
    pages = [path for path in BASE_DIR.rglob("templates/**/*.html") if ".venv" not in path.parts]
    assert pages
    assert [str(path) for path in pages if re.search(r"\|\s*safe\b|autoescape off", path.read_text(encoding="utf-8"))] == []


def test_nginx_cannot_be_led_out_of_its_folder():
    text = (BASE_DIR / "docker" / "nginx.conf").read_text()
    aliases = re.findall(r"location\s+(\S+)\s*\{[^}]*?\balias\s+([^;]+);", text)
    assert aliases
    for location, alias in aliases:
        assert location.endswith("/"), f"location {location} with an alias needs a slash at its end"
        assert alias.endswith("/")
    blocks = re.findall(r"location\s+\S+\s*\{[^}]*alias[^}]*\}", text)
    assert all("internal;" in block for block in blocks), "clips are served only when the site says so"
    assert "autoindex on" not in text
    assert "$proxy_add_x_forwarded_for" not in text, "the visitor could choose the address that is throttled"


@pytest.mark.parametrize(
    "name", ["docker-compose.yml", "Dockerfile", *[f"docker/{p.name}" for p in Path(BASE_DIR / "docker").glob("*.Dockerfile")]]
)
def test_no_secret_is_written_into_an_image_or_a_compose_file(name):
    text = (BASE_DIR / name).read_text()
    assert not re.search(
        r"(?i)(password|secret_key|token)\s*[:=]\s*[\"']?[a-z0-9]{8,}", re.sub(r"/run/secrets/\w+|docker/secrets/\w+", "", text)
    )
    assert "privileged: true" not in text


def test_every_image_ends_as_an_unprivileged_user():
    for path in [BASE_DIR / "Dockerfile", *(BASE_DIR / "docker").glob("*.Dockerfile")]:
        users = re.findall(r"^USER (\S+)", path.read_text(), re.MULTILINE)
        assert users, path
        assert users[-1] not in ("root", "0")
