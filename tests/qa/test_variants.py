"""The paper's variants and splits, on its own class counts."""

import numpy as np
import pytest

from qa.rules import variants as rule

EMOTIONS = ("Excitation", "Fear", "Neutral", "Relaxation", "Sadness", "Tension")
PAPER = dict(zip(EMOTIONS, (11739, 954, 8795, 2214, 2090, 2204), strict=True))
TEST_PARTS = {
    "all": (2348, 191, 1759, 443, 418, 441),
    "balanced": (800, 191, 600, 443, 418, 441),
    "test": (419, 34, 314, 79, 75, 79),
}
SIZES = {"all": tuple(PAPER.values()), "balanced": (4000, 954, 3000, 2214, 2090, 2204), "test": (2097, 170, 1571, 395, 373, 394)}


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).permutation(np.repeat(list(PAPER), list(PAPER.values())))


@pytest.mark.parametrize("name", rule.VARIANTS)
def test_variants_have_the_papers_counts(name, labels):
    choice = rule.VARIANTS[name](labels, seed=1)
    assert tuple(rule.emotion_counts(labels[choice.positions]).values()) == SIZES[name]
    assert tuple(rule.emotion_counts(labels[choice.positions[choice.is_test]]).values()) == TEST_PARTS[name]
    assert not choice.short


def test_sums_of_the_paper():
    assert [sum(SIZES[name]) for name in ("all", "balanced", "test")] == [27_996, 14_462, 5_000]
    assert [sum(TEST_PARTS[name]) for name in ("all", "balanced", "test")] == [5_600, 2_893, 1_000]


def test_largest_remainder_is_the_papers():
    assert tuple(rule.largest_remainder(PAPER, 5000).values()) == SIZES["test"]


def test_equal_remainders_go_to_the_first_named():
    """A third each is left over; 2 1/3 as a floating-point number leaves a little more than 1/3 does."""
    assert rule.largest_remainder({"a": 1, "b": 1, "c": 7}, 3) == {"a": 1, "b": 0, "c": 2}


def test_largest_remainder_never_exceeds_what_there_is():
    assert rule.largest_remainder({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}
    with pytest.raises(rule.TooFew, match="4 videos are asked for and 3"):
        rule.largest_remainder({"a": 1, "b": 2}, 4)


@pytest.mark.parametrize("name", rule.VARIANTS)
def test_same_seed_same_rows_other_seed_other_rows(name, labels):
    first, again, other = (rule.VARIANTS[name](labels, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.is_test, again.is_test)
    assert not np.array_equal(first.positions[first.is_test], other.positions[other.is_test])


def test_no_video_is_trained_on_in_one_variant_and_tested_on_in_another(labels):
    tests = {name: set() for name in rule.VARIANTS}
    trains = {name: set() for name in rule.VARIANTS}
    for name, choose in rule.VARIANTS.items():
        choice = choose(labels, seed=9)
        tests[name], trains[name] = set(choice.positions[choice.is_test].tolist()), set(choice.positions[~choice.is_test].tolist())
    assert not set.union(*tests.values()) & set.union(*trains.values())


@pytest.mark.parametrize(("name", "words"), [("balanced", "Excitation: 3 of 4,000"), ("test", "3 of 5,000")])
def test_too_few_videos_are_an_error_unless_short_is_allowed(name, words):
    few = np.array(["Excitation"] * 3)
    with pytest.raises(rule.TooFew, match=words):
        rule.VARIANTS[name](few, seed=0)
    choice = rule.VARIANTS[name](few, seed=0, allow_short=True)
    assert len(choice.positions) == 3
    assert words.removeprefix("few ") in " ".join(choice.short)


@pytest.mark.parametrize(("count", "tests"), [(1, 0), (2, 0), (3, 1), (5, 1), (13, 3)])
def test_small_classes_round_to_the_nearest(count, tests):
    assert rule.num_test(count) == tests


def test_an_empty_dataset_gives_an_empty_choice():
    assert len(rule.everything(np.array([], dtype=str), seed=0).positions) == 0
    assert len(rule.balanced(np.array([], dtype=str), seed=0, allow_short=True).positions) == 0
