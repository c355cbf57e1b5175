"""Takes the second factor off an account whose owner has lost the telephone and the recovery codes."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from config.signin import User, sessions_end


class Command(BaseCommand):
    help = "Take the second factor off an account (lost telephone); every session of it ends."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    @transaction.atomic
    def handle(self, *, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"no account is called {username!r}")
        held = Authenticator.objects.filter(user=user)
        if not held:
            raise CommandError(f"{username} has none")
        held.delete()
        sessions_end(user)
        self.stdout.write(f"{username} signs in with the password alone until a new second factor is set up.")
