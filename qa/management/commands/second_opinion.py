"""A model's opinion beside the vote: how able each person is, and which labels deserve a second look."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from qa import selectors
from qa.export.opinions import write_opinions
from qa.export.tables import FORMATS, Table, render
from qa.management.commands import writing
from qa.rules.truth import MODELS


class Command(BaseCommand):
    help = "Fits Dawid–Skene, GLAD or MACE to the votes; the vote stays the label."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", choices=MODELS, default="dawid_skene")
        parser.add_argument("--limit", type=int, default=50, help="labels to list")
        parser.add_argument("--out", type=Path, metavar="DIR", help="also write every ability and posterior of all three models there")
        parser.add_argument("--format", choices=FORMATS, default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError(f"--limit must be 1 or more, got {options['limit']}")
        if options["out"]:
            with writing(options["out"]):
                write_opinions(options["out"], selectors.opinions_whole(selectors.opinions_fitted()))
        numbers = selectors.second_opinion_numbers(model=options["model"], limit=options["limit"])
        people = Table("Ability of each person", ("person", "votes", "ability"), [tuple(row.values()) for row in numbers["people"]])
        hard = ("difficulty",) if options["model"] == "glad" else ()
        columns = ("sample", "label", "belief", "rather", "belief", *hard, "video", "group", "decided by")
        labels = Table("Labels worth a second look", columns, [tuple(row.values()) for row in numbers["labels"]])
        self.stdout.write(
            render([people, labels], numbers, format=options["format"], title=f"Second opinion: {options['model']}"), ending=""
        )
