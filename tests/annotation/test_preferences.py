import pytest

from annotation.rules.preferences import DEFAULT_KEYS, preferences_checked


def test_no_two_actions_share_a_default_key() -> None:
    assert len(set(DEFAULT_KEYS.values())) == len(DEFAULT_KEYS)


def test_only_what_differs_from_the_defaults_is_kept() -> None:
    assert preferences_checked({"keys": {**DEFAULT_KEYS, "mute": "Q"}}) == {"keys": {"mute": "q"}}


def test_two_actions_may_change_places() -> None:
    assert preferences_checked({"keys": {"mute": "z", "fullScreen": "m"}}) == {"keys": {"mute": "z", "fullScreen": "m"}}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"theme": "dark"}, "theme"),
        ({"keys": {"explode": "q"}}, "explode"),
        ({"keys": ["q"]}, "table"),
        ({"keys": {"mute": "x"}}, "skip and mute|mute and skip"),
        ({"keys": {"mute": "5"}}, "digits"),
        ({"keys": {"mute": "F1"}}, "F1"),
        ({"keys": {"mute": ""}}, "mute"),
        ({"keys": {"mute": 7}}, "7"),
        ({"keys": {"mute": "<script>"}}, "script"),
        ({"break_minutes": -1}, "-1"),
        ({"break_minutes": 241}, "241"),
        ({"break_minutes": True}, "True"),
        ({"break_minutes": 2.5}, "2.5"),
        ({"blur": "yes"}, "yes"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        preferences_checked(given)


def test_good_settings_pass() -> None:
    assert preferences_checked({"break_minutes": 0, "blur": False}) == {"break_minutes": 0, "blur": False}
