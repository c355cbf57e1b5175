import hashlib
import io
import json
import stat
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from config import backup, dumps
from config.backup import BackupError, backup_make, backup_restore, backup_verify
from config.models import Backup
from config.places import room
from crawler.models import Video
from crawler.storage import bucket
from tests.factories import UserFactory, VideoFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def filled(media_root):
    """Three clips, one of them with its file, two people, one of them signed in."""
    videos = [VideoFactory(size_bytes=4) for _ in range(3)]
    path = media_root / videos[0].file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"clip")
    UserFactory(username="alice", role="annotator")
    UserFactory(username="bob", role="leader")
    Session.objects.create(session_key="a" * 32, session_data="x", expire_date=timezone.now())
    return videos


def everything() -> dict[str, list]:
    """The rows that matter, to compare before and after."""
    return {
        "users": list(User.objects.order_by("pk").values_list("pk", "username", "password")),
        "roles": sorted(User.groups.through.objects.values_list("user__username", "group__name")),
        "videos": list(Video.objects.order_by("pk").values()),
    }


@pytest.mark.parametrize("portable", [False, True])
def test_what_was_backed_up_comes_back(filled, tmp_path, portable):
    before = everything()
    file = tmp_path / "deep" / "site.backup"
    made = backup_make(file, portable=portable)
    assert made.kind == ("portable" if portable else connection.vendor)
    assert made.size_bytes == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file], "nothing is left beside the backup"

    User.objects.filter(username="alice").update(username="mallory")
    Video.objects.all().delete()
    UserFactory(username="late")
    restored = backup_restore(file, overwrite=True)
    assert everything() == before
    assert not Session.objects.exists(), "nobody is signed in again by a restored backup"
    assert (restored.clips, restored.missing) == (3, [filled[1].file, filled[2].file])
    assert UserFactory(username="next").pk > max(pk for pk, *_ in before["users"]), "the next number is free"


def test_a_database_with_data_is_not_replaced_by_accident(filled, tmp_path):
    file = tmp_path / "site.backup"
    backup_make(file)
    UserFactory(username="late")
    with pytest.raises(BackupError, match="holds data"):
        backup_restore(file)
    assert User.objects.filter(username="late").exists()


def test_a_backup_is_not_replaced_by_accident(filled, tmp_path):
    file = tmp_path / "site.backup"
    file.write_text("something else")
    with pytest.raises(BackupError, match="exists"):
        backup_make(file)
    assert file.read_text() == "something else"
    assert not Backup.objects.exists()


def test_a_damaged_backup_restores_nothing(filled, tmp_path):
    file = tmp_path / "site.backup"
    backup_make(file)
    whole, before = file.read_bytes(), everything()
    for place in range(20, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        with pytest.raises(BackupError):
            backup_restore(file, overwrite=True)
        assert everything() == before


def test_a_cut_backup_restores_nothing(filled, tmp_path):
    file = tmp_path / "site.backup"
    backup_make(file)
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(BackupError, match="no whole backup"):
        backup_verify(file)


def test_a_backup_goes_to_a_bucket_and_comes_back(filled, store, capsys):
    """The restore drill: database and clips in the bucket, everything here lost."""
    before = everything()
    address = "s3://backups/site/2026.backup"
    store.buckets["backups"] = {}
    call_command("backup", address)
    whole = store.buckets["backups"]["site/2026.backup"]
    made = Backup.objects.get()
    assert (made.path, made.size_bytes, made.sha256) == (address, len(whole), hashlib.sha256(whole).hexdigest())
    store.buckets["clips"][f"emotions/{filled[1].file}"] = b"clip"
    with pytest.raises(CommandError, match=r"s3://backups/site/2026\.backup exists"):
        call_command("backup", address)
    call_command("backup", address, "--verify")
    Video.objects.all().delete()
    User.objects.all().delete()
    call_command("restore", address)
    assert everything() == before
    said = capsys.readouterr()
    assert "whole" in said.out
    assert said.err.startswith("2 clips are not where clips are kept"), "the one in the bucket is there"


@pytest.mark.parametrize("trouble", [403, 503, "cut"])
def test_a_store_that_refuses_leaves_the_earlier_backup_and_restores_nothing(filled, store, monkeypatch, trouble):
    monkeypatch.setitem(bucket.PATIENT, "retries", {"total_max_attempts": 1})
    address = "s3://backups/site.backup"
    store.buckets["backups"] = {}
    backup_make(address)
    earlier, before = store.buckets["backups"]["site.backup"], everything()
    with store.refusing(trouble):
        with pytest.raises(BackupError, match="no backup was made"):
            backup_make(address, overwrite=True)
        with pytest.raises(BackupError, match="is no whole backup"):
            backup_restore(address, overwrite=True)
    assert store.buckets["backups"] == {"site.backup": earlier}
    assert everything() == before
    assert Backup.objects.count() == 1
    store.spoil = earlier[:-2000]
    with pytest.raises(BackupError, match="is no whole backup"):
        backup_restore(address, overwrite=True)
    assert everything() == before


@pytest.mark.parametrize(
    "address", ["s3://backups", "s3://b/", "s3://backups/../other", "s3://user:pw@host/x", "https://host/x", "file:///etc/x"]
)
def test_an_address_names_a_bucket_and_a_key_and_never_a_store(filled, store, address):
    with pytest.raises(BackupError, match="neither a path nor s3://bucket/key"):
        backup_make(address)
    with pytest.raises(BackupError, match="neither a path nor s3://bucket/key"):
        backup_restore(address, overwrite=True)
    assert store.asked == []


def archive(path: Path, manifest: dict, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/b", "..", ""])
def test_a_hostile_name_leads_nowhere(tmp_path, name):
    manifest = {"format": 1, "kind": "sqlite", "rows": {}, "migrations": [], "files": {name: {"size": 1, "sha256": "0" * 64}}}
    with pytest.raises(BackupError, match="leads outside"):
        backup_verify(archive(tmp_path / "hostile", manifest, {name: b"x"}))


def test_a_file_longer_than_it_says_is_refused_before_it_fills_the_disk(tmp_path):
    manifest = {"format": 1, "kind": "sqlite", "rows": {}, "migrations": [], "files": {"bomb": {"size": 10, "sha256": "0" * 64}}}
    with pytest.raises(BackupError, match="damaged"):
        backup_verify(archive(tmp_path / "bomb.backup", manifest, {"bomb": bytes(50_000_000)}))


def test_a_backup_of_a_later_version_is_refused(filled, tmp_path, monkeypatch):
    file = tmp_path / "site.backup"
    monkeypatch.setattr("config.backup._migrations", lambda: ["crawler.9999_from_the_future"])
    backup_make(file)
    with pytest.raises(BackupError, match=r"later version .* crawler\.9999_from_the_future"):
        backup_restore(file, overwrite=True)


def test_a_failed_restore_leaves_the_database_as_it_was(filled, tmp_path, monkeypatch):
    file = tmp_path / "site.backup"
    backup_make(file, portable=True)
    before = everything()

    def full(*args, **kwargs):
        raise dumps.DumpError("the disk is full")

    monkeypatch.setattr("config.dumps.PortableDump.read", full)
    with pytest.raises(BackupError, match="nothing was restored"):
        backup_restore(file, overwrite=True)
    assert everything() == before


@pytest.mark.parametrize("portable", [False, True])
def test_a_backup_that_holds_other_rows_than_it_says_leaves_the_database_as_it_was(filled, tmp_path, monkeypatch, portable):
    file = tmp_path / "site.backup"
    packed = backup._pack
    monkeypatch.setattr(
        "config.backup._pack",
        lambda part, folder, names, about: packed(part, folder, names, about | {"rows": {**about["rows"], "auth_user": 7}}),
    )
    backup_make(file, portable=portable)
    UserFactory(username="late")
    before = everything()
    with pytest.raises(BackupError, match=r"nothing was restored: .*auth_user has 2 rows, not 7"):
        backup_restore(file, overwrite=True)
    assert everything() == before


@pytest.mark.parametrize("name", ['x"; DROP TABLE auth_user; --', "$$", "Auth_User", ""])
def test_the_name_of_a_table_in_a_backup_is_plain_or_refused(name):
    with pytest.raises(dumps.DumpError, match="no table of this project"):
        dumps.PostgresDump._check("public", name, 1)


def test_a_backup_of_another_database_is_refused_with_the_way_out(filled, tmp_path, monkeypatch):
    file = tmp_path / "site.backup"
    backup_make(file)
    other = "postgresql" if connection.vendor == "sqlite" else "sqlite"
    monkeypatch.setattr(connection, "vendor", other)
    with pytest.raises(BackupError, match="--portable"):
        backup_restore(file, overwrite=True)


def test_the_commands_tell_what_they_did(filled, tmp_path, capsys):
    file = str(tmp_path / "site.backup")
    call_command("backup", file)
    assert Backup.objects.get().sha256 in capsys.readouterr().out
    call_command("backup", file, "--verify")
    assert "whole" in capsys.readouterr().out
    with pytest.raises(CommandError, match="exists"):
        call_command("backup", file)
    with pytest.raises(CommandError, match="holds data"):
        call_command("restore", file)
    call_command("restore", file, "--yes")
    captured = capsys.readouterr()
    assert "3 clips belong" in captured.out
    assert "2 clips are not where clips are kept" in captured.err


def test_what_a_later_version_added_goes_when_an_earlier_backup_comes_back(filled, tmp_path):
    file = tmp_path / "site.backup"
    backup_make(file)
    before = everything()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE crawler_later (id integer PRIMARY KEY, video_id bigint NOT NULL REFERENCES crawler_video (id))")
        cursor.execute("INSERT INTO crawler_later VALUES (1, %s)", [filled[0].pk])
    try:
        backup_restore(file, overwrite=True)
        assert everything() == before
        if connection.vendor != "sqlite" or dumps.dump_for().kind == "sqlite":
            assert "crawler_later" not in connection.introspection.table_names()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS crawler_later")


def test_two_backups_to_one_name_at_once_do_not_spoil_each_other(filled, tmp_path, monkeypatch):
    file, read_through = tmp_path / "site.backup", backup._read_through

    def another_begins(path: Path) -> None:
        monkeypatch.setattr(backup, "_read_through", read_through)
        backup_make(file)
        read_through(path)

    monkeypatch.setattr(backup, "_read_through", another_begins)
    made = backup_make(file, overwrite=True)
    assert made.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert backup_verify(file)["rows"]
    assert list(tmp_path.glob(".backup-*")) == []


def test_a_backup_that_cannot_be_noted_is_there_and_says_so(filled, tmp_path, monkeypatch):
    def away(**row):
        raise OperationalError("the line is cut")

    monkeypatch.setattr(Backup.objects, "create", away)
    with pytest.raises(BackupError, match="written and whole, but the database could not note it: the line is cut"):
        backup_make(tmp_path / "site.backup")
    backup_verify(tmp_path / "site.backup")


def test_a_database_is_unpacked_where_there_is_room_for_it(settings):
    """/tmp is memory in the containers."""
    with room() as folder:
        assert Path(folder).parent == settings.VAR_DIR
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700


def test_the_line_to_the_database_is_sealed_for_pg_dump_too_and_no_secret_is_in_its_arguments(monkeypatch):
    called = []
    monkeypatch.setattr(
        dumps.subprocess, "run", lambda command, env, **rest: called.append((command, env)) or SimpleNamespace(returncode=0)
    )
    made = {"HOST": "db.lab", "PORT": 5433, "USER": "emotions", "PASSWORD": "hush", "NAME": "site", "OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}}  # fmt: skip
    for name, value in made.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    dumps.PostgresDump._run("pg_dump", "--format=custom")
    ((command, environment),) = called
    assert command == ["pg_dump", "--format=custom"]
    expected = {"PGHOST": "db.lab", "PGPORT": "5433", "PGUSER": "emotions", "PGPASSWORD": "hush", "PGDATABASE": "site", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem"}  # fmt: skip
    assert {name: environment[name] for name in expected} == expected


@pytest.mark.skipif(connection.vendor != "postgresql", reason="of PostgreSQL alone")
def test_a_dump_that_takes_longer_than_an_idle_session_may_wait_is_made(filled, tmp_path, monkeypatch):
    """docker/db-start.sh ends sessions that wait in a transaction for a minute; ours waits for pg_dump."""
    run = dumps.PostgresDump._run

    def slow(*options: str) -> None:
        run(*options)
        time.sleep(0.5)

    monkeypatch.setattr(dumps.PostgresDump, "_run", staticmethod(slow))
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '100ms'")
    try:
        assert backup_make(tmp_path / "site.backup").kind == "postgresql"
    finally:
        connection.close()


@pytest.mark.parametrize(
    "row",
    [
        {"model": "crawler.forgotten", "pk": 1, "fields": {}},
        {"model": "auth.user", "pk": 1, "fields": {"shoe_size": 43}},
        {"model": "crawler.video", "pk": 1, "fields": {"platform": "tiktok", "state": "accepted", "number": None}},
    ],
)
def test_rows_that_this_version_does_not_know_or_take_restore_nothing(filled, tmp_path, row):
    """A portable backup of another version, or one that somebody wrote by hand."""
    before, media = everything(), b"file,size_bytes,sha256\n"
    files = {"database.jsonl": json.dumps(row).encode(), "media.csv": media}
    told = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = {"format": 1, "kind": "portable", "rows": {}, "migrations": [], "files": told, "made_at": ""}
    file = archive(tmp_path / "odd.backup", manifest, files)
    with pytest.raises(CommandError, match="nothing was restored: this version cannot read its rows"):
        call_command("restore", str(file), "--yes")
    assert everything() == before


def test_a_database_that_goes_away_makes_no_backup_and_says_so(filled, tmp_path, monkeypatch):
    def away(self, target):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(type(dumps.dump_for()), "write", away)
    with pytest.raises(BackupError, match="no backup was made: server closed"):
        backup_make(tmp_path / "site.backup")
    assert [path.name for path in tmp_path.iterdir()] == ["media"]
