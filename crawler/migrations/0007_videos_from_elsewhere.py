from django.db import migrations, models

CHOICES = [("douyin", "Douyin"), ("kuaishou", "Kuaishou"), ("tiktok", "TikTok"), ("other", "Elsewhere")]


class Migration(migrations.Migration):
    dependencies = [("crawler", "0006_doubts_deaths_and_stated_lengths")]

    operations = [
        migrations.AlterField(model, "platform", models.CharField(choices=CHOICES, max_length=10))
        for model in ("term", "tombstone", "video", "visit")
    ]
