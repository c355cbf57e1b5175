"""A key to the API for a test's user."""

from config.tokens import token_create


def token_of(user, scope: str = "write") -> str:
    return token_create(user, name="test", scope=scope)[1]
