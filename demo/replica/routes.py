"""Routes: what the platforms' modules are written in."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from demo.replica.http import Request, Response
from demo.replica.site import Site

View = Callable[[Site, Request, re.Match[str]], Response]


@dataclass
class Routes:
    """Views by path pattern, the first that matches wins."""

    table: list[tuple[re.Pattern[str], View]] = field(default_factory=list)

    def at(self, pattern: str) -> Callable[[View], View]:
        def keep(view: View) -> View:
            self.table.append((re.compile(pattern), view))
            return view

        return keep

    def serve(self, site: Site, request: Request) -> Response | None:
        for pattern, view in self.table:
            if match := pattern.fullmatch(request.path):
                return view(site, request, match)
        return None
