"""Migrations go back and forward again on a database with work in it: nothing that the first version knew is lost."""

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from annotation.models import Sample, Vote
from config import append_only
from tests.factories import PersonFactory, SampleFactory, VoteFactory

APPS = ("crawler", "annotation", "qa", "training", "config")


def leaves(executor: MigrationExecutor) -> list[tuple[str, str]]:
    return [node for node in executor.loader.graph.leaf_nodes() if node[0] in APPS]


def first_version(executor: MigrationExecutor) -> list[tuple[str, str]]:
    return [(app, next(name for key, name in sorted(executor.loader.disk_migrations) if key == app)) for app in APPS]


def test_every_migration_can_be_taken_back():
    stuck = [
        f"{app}.{name}: {operation}"
        for (app, name), migration in MigrationLoader(None).disk_migrations.items()
        if app in APPS
        for operation in migration.operations
        if not operation.reversible
    ]
    assert stuck == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_back_to_the_first_version_and_forward_again_loses_nothing():
    votes = [VoteFactory(sample=SampleFactory(), person=PersonFactory()) for _ in range(3)]
    Sample.objects.filter(pk=votes[0].sample_id).update(state="decided", label="Fear", decided_rung="member")
    before = list(Vote.objects.order_by("pk").values("pk", "emotion", "confidence", "client_id", "person__user__username"))
    try:
        executor = MigrationExecutor(connection)
        executor.migrate(first_version(executor))
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM annotation_vote")
            assert cursor.fetchone() == (3,)
            assert "config_event" not in connection.introspection.table_names(cursor)
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(leaves(executor))
        locked = append_only.is_locked()
        append_only.unlock()  # as for all tests: tests/conftest.py
    assert locked, "the audit log is locked again"
    assert list(Vote.objects.order_by("pk").values("pk", "emotion", "confidence", "client_id", "person__user__username")) == before
    assert Sample.objects.get(pk=votes[0].sample_id).label == "Fear"
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    assert {model._meta.db_table for app in APPS for model in apps.get_app_config(app).get_models()} <= there
