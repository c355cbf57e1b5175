from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from config import logs


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Site"

    def ready(self) -> None:
        from config import audit, deadletter, second_factor, sentry, signin

        logs.connect()
        sentry.connect()
        audit.connect()
        signin.connect()
        second_factor.connect()
        deadletter.connect()
        # config is the last app: by its turn every permission named in roles.py exists.
        post_migrate.connect(grant_after_migrate, sender=self)


def grant_after_migrate(**kwargs: Any) -> None:
    from config.roles import roles_grant

    roles_grant()
