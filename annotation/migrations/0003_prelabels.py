import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0002_webhooks"),
    ]

    operations = [
        migrations.AddField(
            model_name="vote",
            name="prelabel",
            field=models.JSONField(
                blank=True, default=dict, help_text="run, emotion and uncertainty that had ordered the queue; not shown"
            ),
        ),
        migrations.CreateModel(
            name="Prelabel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_name", models.CharField(max_length=80)),
                ("probabilities", models.JSONField(help_text="emotion → probability")),
                ("uncertainty", models.FloatField(help_text="entropy of the probabilities as a share of the greatest possible")),
                ("created_at", models.DateTimeField(auto_now=True)),
                (
                    "sample",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="prelabel", to="annotation.sample"),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("uncertainty__gte", 0), ("uncertainty__lte", 1)), name="uncertainty_between_0_and_1"
                    )
                ],
            },
        ),
    ]
