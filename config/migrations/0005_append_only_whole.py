from django.db import migrations

from config import append_only


def lock(apps, schema_editor):
    """What an earlier version locked is locked as this one does: against TRUNCATE and INSERT OR REPLACE too."""
    append_only.unlock(schema_editor.connection)
    append_only.lock(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ("config", "0004_failed_task"),
    ]

    operations = [
        migrations.RunPython(lock, migrations.RunPython.noop),
    ]
