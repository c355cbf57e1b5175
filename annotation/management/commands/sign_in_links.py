"""manage.py sign_in_links [USERNAME …] --site https://emotions.example.org"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import services
from annotation.models import Person


class Command(BaseCommand):
    help = "Prints links by which people choose a password, as username,link; for everybody who has none, or for those named."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="*")
        parser.add_argument("--site", default="http://127.0.0.1:8000", help="where people reach the site")

    def handle(self, *args: Any, **options: Any) -> None:
        named = options["username"]
        people = (
            list(Person.objects.filter(user__username__in=named).select_related("user")) if named else services.people_without_password()
        )
        unknown = sorted(set(named) - {person.user.username for person in people})
        if unknown:
            raise CommandError(f"nobody is called {', '.join(unknown)}")
        for person in people:
            try:
                path = services.person_invite(person, by=None)
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from None
            self.stdout.write(f"{person.user.username},{options['site'].rstrip('/')}{path}")
        if not people:
            self.stderr.write("everybody has a password already")
