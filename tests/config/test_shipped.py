"""What is shipped for running the site elsewhere: the compose file, the cluster's manifests, the alert rules."""

import json
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import jsonschema
import promql_parser
import pytest
import yaml
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.models import Backup
from config.settings import BASE_DIR
from crawler.platforms.outcomes import Outcome
from qa.models import Release
from tests.factories import SampleFactory, VideoFactory
from tests.servers import as_postgres, binary
from training.models import Run

MANIFESTS = sorted((BASE_DIR / "deploy" / "kubernetes").glob("*.yaml"))
SCHEMAS = json.loads((BASE_DIR / "tests" / "fixtures" / "kubernetes" / "schemas.json").read_text())


def documents() -> list[tuple[str, dict]]:
    found = [(path.name, document) for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]
    return [(f"{name} {document['kind']} {document['metadata']['name']}", document) for name, document in found]


DOCUMENTS = documents()


def pods() -> list[tuple[str, dict]]:
    return [(name, document["spec"]["template"]["spec"]) for name, document in DOCUMENTS if "template" in document.get("spec", {})]


@pytest.mark.parametrize(("name", "document"), DOCUMENTS, ids=[name for name, _ in DOCUMENTS])
def test_every_manifest_fits_the_schema_of_kubernetes(name, document):
    schema = {**SCHEMAS["kinds"][document["kind"]], "$defs": SCHEMAS["definitions"]}
    jsonschema.Draft202012Validator(schema).validate(document)


def test_a_field_that_kubernetes_does_not_know_is_noticed():
    name, document = next(pair for pair in DOCUMENTS if pair[1]["kind"] == "Deployment")
    document = {**document, "spec": {**document["spec"], "replica": 3}}
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        test_every_manifest_fits_the_schema_of_kubernetes(name, document)


@pytest.mark.parametrize(("name", "pod"), pods(), ids=[name for name, _ in pods()])
def test_every_pod_is_unprivileged_bounded_and_has_no_account(name, pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert ":" in container["image"], "a version, never the latest"
        assert not container["image"].endswith(":latest")
        mounted = {volume["name"] for volume in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


def test_the_manifests_run_the_commands_of_the_compose_file():
    """One truth about how a worker is started: the two descriptions may not drift apart."""
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    pods_by_name = {document["metadata"]["name"]: document for name, document in DOCUMENTS if document["kind"] in ("Deployment", "Job")}
    for part in ("migrate", "worker", "worker-crawl", "beat", "worker-gpu"):
        (container,) = pods_by_name[part]["spec"]["template"]["spec"]["containers"]
        expected = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in compose[part]["command"]]
        assert container["args"] == expected
    assert pods_by_name["beat"]["spec"]["replicas"] == 1, "two beats would send everything twice"
    assert pods_by_name["beat"]["spec"]["strategy"]["type"] == "Recreate"


def test_every_selector_finds_its_pods():
    labels = [document["spec"]["template"]["metadata"]["labels"] for _, document in DOCUMENTS if document["kind"] == "Deployment"]
    for name, document in DOCUMENTS:
        if document["kind"] == "Service":
            assert document["spec"]["selector"] in labels, name


def test_the_compose_file_names_only_what_it_defines():
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    for name, service in compose["services"].items():
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {volume for volume in volumes if not volume.startswith(".")} <= set(compose["volumes"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        assert "mem_limit" in service or "profiles" in service, f"{name} may take all memory"
        assert not service.get("image", "x:1").endswith(":latest"), name
    assert {profile for service in compose["services"].values() for profile in service.get("profiles", [])} == {
        "gpu", "selenium", "monitoring", "storage",
    }  # fmt: skip


def test_every_secret_of_the_compose_file_is_made_and_no_service_keeps_a_known_password(tmp_path):
    (tmp_path / "secrets.sh").write_text((BASE_DIR / "docker" / "secrets.sh").read_text())
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True, capture_output=True)
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    made = {f"./docker/secrets/{path.name}" for path in (tmp_path / "secrets").iterdir()}
    assert {secret["file"] for secret in compose["secrets"].values()} == made
    assert "GF_SECURITY_ADMIN_PASSWORD__FILE" in compose["services"]["grafana"]["environment"], "Grafana's own is admin"
    assert "MINIO_ROOT_PASSWORD_FILE" in compose["services"]["minio"]["environment"]


def test_the_site_of_the_compose_file_starts_with_what_it_is_given(tmp_path):
    """Every variable as compose fills it in where nothing is set: an empty one counts as not set."""
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    environment = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in compose["x-site"]["environment"].items()}
    contents = {"database_url": "postgres://e:x@127.0.0.1:1/e", "broker_url": "redis://127.0.0.1:1/0", "oidc_client_secret": ""}
    for name, value in environment.items():
        if value.startswith("/run/secrets/"):
            file = tmp_path / value.rpartition("/")[2]
            file.write_text(contents.get(file.name, "x7-pQ2_vB7" * 8))
            environment[name] = str(file)
    environment |= {"PATH": "/usr/bin:/bin", "EMOTIONS_VAR": str(tmp_path / "var"), "DEBUG": "false"}
    done = subprocess.run([sys.executable, "-c", "import config.settings"], env=environment, cwd=BASE_DIR, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_files_that_services_mount_are_there():
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (BASE_DIR / volume.partition(":")[0]).is_file(), volume


def alerts() -> list[dict]:
    groups = yaml.safe_load((BASE_DIR / "docker" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def measured(db) -> dict[str, set[str]]:
    """Figure → its labels, as /metrics gives them on a site where there is something of everything."""
    every = CrontabSchedule.objects.create()
    PeriodicTask.objects.create(name="x", task="x", crontab=every, last_run_at=timezone.now())
    Backup.objects.create(path="x", kind="sqlite", sha256="0" * 64, size_bytes=1, rows=1)
    VideoFactory(state="failed", number=None, reason="rule-failed: no rule reads it")
    SampleFactory()
    release = Release.objects.create(name="all-1", variant="all", seed=1, path="x", sha256="0" * 64, counts={})
    Run.objects.create(recipe="debug", release=release, state="running", lease=uuid.uuid4(), host="here", device="1 × H200 (0)")
    found: dict[str, set[str]] = {"up": set()}
    for line in Client().get("/metrics").content.decode().splitlines():
        if match := re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line):
            found.setdefault(match[1], set()).update(re.findall(r"(\w+)=\"", match[2] or ""))
    return found


def parts(expression: str) -> list:
    """Every node of the expression, as Prometheus' grammar reads it. Raises ValueError where it does not."""
    nodes: list = []
    promql_parser.walk(promql_parser.parse(expression), nodes.append)
    return nodes


def test_every_alert_asks_for_figures_and_labels_that_the_site_gives(measured):
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) >= 8
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule["for"]), rule
        nodes = parts(rule["expr"])
        asked = [node for node in nodes if isinstance(node, promql_parser.VectorSelector)]
        assert asked, rule
        assert {node.name for node in asked} <= set(measured), rule["alert"]
        labels = set().union(*(measured[node.name] for node in asked)) | {"job", "instance"}
        assert {matcher.name for node in asked for matcher in node.matchers.matchers} <= labels, rule["alert"]
        kept = [set(node.modifier.labels) for node in nodes if isinstance(node, promql_parser.AggregateExpr) and node.modifier]
        assert all(names <= labels for names in kept), rule["alert"]
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert told <= set.intersection(labels, *kept), f"{rule['alert']} tells of labels that its answer has not"


def dashboard() -> dict:
    return json.loads((BASE_DIR / "docker" / "grafana" / "emotions.json").read_text())


def test_every_panel_of_the_dashboard_asks_for_figures_and_labels_that_the_site_gives(measured):
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
    for panel in panels:
        for target in panel["targets"]:
            asked = [node for node in parts(target["expr"]) if isinstance(node, promql_parser.VectorSelector)]
            assert asked, panel["title"]
            assert {node.name for node in asked} <= set(measured), panel["title"]
            told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert told <= set().union(*(measured[node.name] for node in asked)), panel["title"]


def test_the_panels_of_the_dashboard_lie_beside_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_grafana_finds_prometheus_and_the_dashboard():
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    mounted = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    (source,) = yaml.safe_load((BASE_DIR / "docker" / "grafana" / "datasources.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((BASE_DIR / "docker" / "grafana" / "dashboards.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in dashboard()["panels"]} == {source["uid"]}
    assert mounted["./docker/grafana/datasources.yml"].startswith("/etc/grafana/provisioning/datasources/")
    assert mounted["./docker/grafana/dashboards.yml"].startswith("/etc/grafana/provisioning/dashboards/")
    assert mounted["./docker/grafana/emotions.json"].rpartition("/")[0] == provider["options"]["path"]
    assert set(compose["grafana"]["profiles"]) == set(compose["prometheus"]["profiles"])


def test_the_browser_that_opens_strangers_pages_reaches_neither_database_nor_queue_nor_site():
    services = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]
    beside = {
        name for name, service in services.items() if set(service.get("networks", ["default"])) & set(services["selenium"]["networks"])
    }
    assert beside == {"selenium", "worker-crawl"}


@pytest.mark.parametrize(("port", "expected"), [("", ""), ("443", ""), ("8443", ":8443"), ("4430", ":4430")])
def test_plain_http_is_sent_on_to_the_port_that_browsers_find(tmp_path, port, expected):
    script = (
        (BASE_DIR / "docker" / "proxy-start.sh").read_text().replace("/tmp/nginx", str(tmp_path)).replace("exec nginx", "exit 0; nginx")
    )
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": "/usr/bin:/bin", "HTTPS_PORT": port})
    assert f'set $port "{expected}";' in (tmp_path / "site.conf").read_text()
    assert "return 308 https://$host$port$request_uri;" in (BASE_DIR / "docker" / "nginx.conf").read_text()
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]["proxy"]
    assert compose["environment"]["HTTPS_PORT"] in compose["ports"][0]


def test_the_proxy_of_the_cluster_knows_its_visitors_and_no_secret_but_its_certificate():
    found = {document["kind"]: document["spec"] for name, document in DOCUMENTS if document["metadata"]["name"] == "proxy"}
    assert found["Service"]["externalTrafficPolicy"] == "Local", (
        "else all visitors have one address, and wait for each other's wrong passwords"
    )
    (secrets,) = (volume["secret"] for volume in found["Deployment"]["template"]["spec"]["volumes"] if "secret" in volume)
    assert {item["key"] for item in secrets["items"]} == {"tls_certificate", "tls_key"}


def test_the_causes_that_an_alert_waits_for_are_those_that_the_crawler_gives():
    (rule,) = (rule for rule in alerts() if rule["alert"] == "PlatformBlocks")
    (matcher,) = (
        matcher for node in parts(rule["expr"]) if isinstance(node, promql_parser.VectorSelector) for matcher in node.matchers.matchers
    )
    assert set(matcher.value.split("|")) <= {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("broken", ["sum by (platform (x) > 1", "x > > 1", "rate(x)", "x{cause=~}"])
def test_an_expression_that_prometheus_would_refuse_is_noticed(broken):
    with pytest.raises(ValueError, match=r".+"):
        parts(broken)


def test_prometheus_finds_the_rules_and_the_site():
    prometheus = yaml.safe_load((BASE_DIR / "docker" / "prometheus.yml").read_text())
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    targets = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert set(prometheus["rule_files"]) <= set(targets)
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["web:8000"]}]
    assert job["authorization"]["credentials_file"] == "/run/secrets/metrics_token"


def test_the_version_stands_in_one_place_and_everything_else_follows(settings):
    for name, pod in pods():
        for container in pod["containers"]:
            assert container["image"].endswith(f":{settings.VERSION}"), name
    changes = (BASE_DIR / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == settings.VERSION
    assert settings.SPECTACULAR_SETTINGS["VERSION"] == settings.VERSION


@pytest.mark.slow
def test_a_first_start_of_the_database_that_is_cut_short_begins_anew():
    """Killed between initdb and CREATE DATABASE: the next start must not take the half for a whole."""
    with tempfile.TemporaryDirectory(prefix="emotions-db-start-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        data, broken = folder / "data", folder / "broken"
        (folder / "password").write_text("a long password")
        broken.mkdir()
        (broken / "postgres").write_text("#!/bin/sh\nexit 1\n")
        (broken / "postgres").chmod(0o755)
        script = (BASE_DIR / "docker" / "db-start.sh").read_text().replace("/run/secrets", name).replace("db_password", "password")
        (folder / "start.sh").write_text(script.replace("exec postgres", "exit 0; postgres"))

        def as_the_server(*command: str, path: str) -> int:
            asked = [*as_postgres(), "env", f"PGDATA={data}", f"PATH={path}", *command]
            return subprocess.run(asked, cwd=folder, capture_output=True, check=False, input=b"SELECT 1;\n").returncode

        tools = f"{Path(binary('initdb')).parent}:/usr/bin:/bin"
        assert as_the_server("mkdir", "-m", "0700", str(data), path=tools) == 0
        start = ("sh", str(folder / "start.sh"))
        assert as_the_server(*start, path=f"{broken}:{tools}") != 0
        assert not (data / "PG_VERSION").exists()
        assert as_the_server(*start, path=tools) == 0
        assert as_the_server("postgres", "--single", "-D", str(data), "emotions", path=tools) == 0, "the database is there"
        assert not (data / "new").exists()
        assert as_the_server(*start, path=f"{broken}:{tools}") == 0, "a database that is there is left alone"
