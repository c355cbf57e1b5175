from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Site"

    def ready(self) -> None:
        # training is the last app with models: by its turn every permission named in roles.py exists.
        post_migrate.connect(grant_after_migrate, sender=apps.get_app_config("training"))


def grant_after_migrate(**kwargs: Any) -> None:
    from config.roles import roles_grant

    roles_grant()
