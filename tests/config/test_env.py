import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import Environment


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (lambda e: e.flag("X", False), "maybe"),
        (lambda e: e.integer("X", 1), "1.5"),
        (lambda e: e.integer("X", 1, minimum=10), "9"),
        (lambda e: e.number("X", 1.0), "nan"),
        (lambda e: e.number("X", 1.0), "ten"),
        (lambda e: e.choice("X", "a", {"a", "b"}), "c"),
        (lambda e: e.matching("X", "", pattern="[a-z]+", what="word"), "A word"),
        *[
            (lambda e: e.origin("X", ""), address)
            for address in (
                "minio:9000",
                "file:///etc/passwd",
                "ftp://host",
                "http://user:pw@host",
                "http://host/path",
                "http://host?x",
                "http://host:port",
                "http://good.example#@evil.example",
                "http://good.example\\@evil.example",
                "http://host/../..",
            )
        ],
    ],
)
def test_nonsense_is_refused_by_name(reader, value):
    with pytest.raises(ImproperlyConfigured, match=r"^X="):
        reader(Environment({"X": value}))


def test_a_missing_value_without_default_is_refused_by_name():
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY must be set"):
        Environment({}).text("SECRET_KEY")


def test_values_are_read():
    env = Environment({"A": "yes", "B": "7", "C": " x , ,y ", "D": "0.5", "E": ""})
    assert env.flag("A", False) is True
    assert env.integer("B", 1) == 7
    assert env.names("C") == ["x", "y"]
    assert env.number("D", 1.0) == 0.5
    assert env.flag("E", True) is True


def test_a_secret_may_come_from_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush\n")
    assert Environment({"S_FILE": str(path)}).text("S") == "hush"
    with pytest.raises(ImproperlyConfigured, match="both set"):
        Environment({"S_FILE": str(path), "S": "x"}).text("S")
    with pytest.raises(ImproperlyConfigured, match="S_FILE="):
        Environment({"S_FILE": str(tmp_path / "none")}).text("S")
