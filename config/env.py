"""Strict readers of the environment: a value that makes no sense is refused by name, never guessed at."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


class Environment:
    """Settings as read from the environment. A variable that is set but empty counts as not set."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables = os.environ if variables is None else variables

    def text(self, name: str, default: str | None = None) -> str:
        """The variable's value, or what its *_FILE twin points to (secrets by file), or the default."""
        value = self.variables.get(name, "").strip()
        path = self.variables.get(f"{name}_FILE", "").strip()
        if value and path:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one")
        if path:
            value = self._read_file(f"{name}_FILE", path)
        if value:
            return value
        if default is None:
            raise ImproperlyConfigured(f"{name} must be set in the environment")
        return default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "").lower()
        if not value:
            return default
        if value in TRUE | FALSE:
            return value in TRUE
        raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false")

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**31) -> int:
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value!r} is not a whole number") from None
        if not minimum <= number <= maximum:
            raise ImproperlyConfigured(f"{name}={number} is outside {minimum}..{maximum}")
        return number

    def number(self, name: str, default: float, *, minimum: float = 0.0, maximum: float = 1e12) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value!r} is not a number") from None
        if not minimum <= number <= maximum:  # also refuses nan
            raise ImproperlyConfigured(f"{name}={value} is outside {minimum}..{maximum}")
        return number

    def choice(self, name: str, default: str, allowed: set[str]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise ImproperlyConfigured(f"{name}={value!r} is not one of {', '.join(sorted(allowed))}")
        return value

    def names(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list, without empty entries."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def matching(self, name: str, default: str, *, pattern: str, what: str) -> str:
        value = self.text(name, default)
        if value and not re.fullmatch(pattern, value):
            raise ImproperlyConfigured(f"{name}={value!r} is no {what}")
        return value

    def rate(self, name: str, default: str) -> str:
        return self.matching(name, default, pattern=r"[1-9]\d*/(s|sec|m|min|h|hour|d|day)", what="rate like 120/min")

    def origin(self, name: str, default: str) -> str:
        """http(s)://host[:port] and nothing else: no user, path or query could hide in it."""
        value = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(value)
            whole = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            whole = ""
        if value and (not re.fullmatch(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?", value) or whole != value):
            raise ImproperlyConfigured(f"{name}={value!r} is not http(s)://host[:port]")
        return value

    @staticmethod
    def _read_file(name: str, path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}={path}: {getattr(error, 'strerror', 'it is not text')}") from error
