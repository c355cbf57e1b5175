from django.db import migrations


class Migration(migrations.Migration):
    """What a release holds that was taken down since is read from its rows; nothing ever filled this in."""

    dependencies = [("qa", "0004_simulations")]

    operations = [migrations.RemoveField(model_name="release", name="superseded_reason")]
