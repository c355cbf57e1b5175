"""What is shipped for running the site elsewhere: the compose file, the cluster's manifests, the alert rules."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from django.test import Client

from config.settings import BASE_DIR

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


def test_files_that_services_mount_are_there():
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (BASE_DIR / volume.partition(":")[0]).is_file(), volume


@pytest.fixture
def measured(db, monkeypatch) -> set[str]:
    text = Client().get("/metrics").content.decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | set(ages())


def ages() -> list[str]:
    """Told only once there is something to tell the age of."""
    return re.findall(r'"((?:beat|backup|release)_age_seconds)"', Path(BASE_DIR / "config" / "views.py").read_text())


def test_every_alert_asks_for_figures_that_the_site_gives(measured):
    rules = [rule for group in yaml.safe_load((BASE_DIR / "docker" / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names) >= 8
    known = measured | {f"emotions_{name}" for name in ages()}
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule["for"]), rule
        assert rule["annotations"]["summary"]
        asked = set(re.findall(r"emotions_\w+", rule["expr"]))
        assert asked <= known, f"{rule['alert']} asks for {asked - known}"
        assert rule["expr"].count("(") == rule["expr"].count(")")


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
