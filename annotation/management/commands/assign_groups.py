"""manage.py assign_groups [--dry-run] [--groups N]"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import groups_assign


class Command(BaseCommand):
    help = "Solves for groups of two men, one woman and a leader that are as even in p (Eq. 1) as these people allow."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show the groups")
        parser.add_argument("--groups", type=int, help="number of groups; default: as many as the people suffice for")

    def handle(self, *args: Any, dry_run: bool, groups: int | None, **options: Any) -> None:
        try:
            proposal = groups_assign(dry_run=dry_run, num_groups=groups)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        for row in proposal.as_rows():
            members = " ".join(row["members"])  # type: ignore[arg-type]  # a row of mixed values
            self.stdout.write(f"{row['group']}  p {row['p']:6.2f}  members {members}  leader {row['leader']}")
        found = proposal.allocation
        if found.reserve:
            self.stdout.write(f"reserve: {' '.join(person.key for person in found.reserve)}")
        if proposal.unqualified:
            self.stdout.write(f"no clips before they pass the labelling test: {' '.join(proposal.unqualified)}")
        proof = "the best possible" if found.is_optimal else f"the best possible is at least {found.best_possible:.3f}"
        self.stdout.write(f"spread of p {found.spread:.3f} ({proof}){'; nothing changed' if dry_run else ''}")
