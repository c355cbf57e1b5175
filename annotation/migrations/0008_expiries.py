from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0007_plurals"),
    ]

    operations = [
        migrations.AddField(
            model_name="assignment",
            name="expiries",
            field=models.PositiveSmallIntegerField(default=0, help_text="how often it was taken back from a tab that showed no life"),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(condition=models.Q(("expiries__gt", 0)), fields=["expiries"], name="turns_that_expired"),
        ),
    ]
