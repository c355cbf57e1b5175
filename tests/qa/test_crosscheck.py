"""Cross-check from the draw to the confirmed swap, on rows: three groups, blind rounds, re-annotation, an append-only log."""

import csv
import json
import threading

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection

from annotation.models import Assignment, Group, Person, Vote
from annotation.rules.taxonomy import EMOTIONS
from annotation.services import BadLines
from qa import selectors, services
from qa.models import AdjustmentStep, ConsistencyReport, CrossCheckItem, CrossCheckSet
from qa.rules.consistency import STAGE_SETS
from tests.qa.conftest import answer_turns, cast, labelled_samples, make_groups, make_person


@pytest.fixture
def pilot(groups, media_root):
    """Each group has labelled 24 samples, four of each emotion."""
    rows = [(100 * i + j + 1, EMOTIONS[j % 6], people) for i, people in enumerate(groups.values()) for j in range(24)]
    samples = labelled_samples(rows, media_root)
    return {letter: samples[24 * i : 24 * i + 24] for i, letter in enumerate(groups)}


@pytest.fixture
def drawn(pilot):
    return services.cross_check_draw("sA", seed=7)


def previous_of(stage):
    return dict(CrossCheckItem.objects.filter(set__stage=stage).values_list("sample_id", "previous_emotion"))


def answer(round, wrong=()):
    """Every open turn of a round answered: as the sample was labelled, by people in `wrong` always by the next emotion."""
    previous = previous_of(round[:2])

    def said(turn):
        emotion = previous[turn.sample_id]
        return EMOTIONS[(EMOTIONS.index(emotion) + 1) % 6] if turn.person.user.username in wrong else emotion

    answer_turns(Assignment.objects.filter(round=round, state="open"), said)


def test_nine_sets_per_group_go_to_the_group_before_it(drawn):
    assert len(drawn.sets) == 27
    assert {(row.origin.letter, row.reviewer.letter) for row in drawn.sets} == {("A", "C"), ("B", "A"), ("C", "B")}
    for letter in "ABC":
        assert tuple(row.emotion for row in drawn.sets if row.origin.letter == letter) == STAGE_SETS


def test_sets_hold_the_origins_own_labels_and_nothing_twice(drawn, pilot):
    items = CrossCheckItem.objects.select_related("set__origin", "sample__group")
    assert all(item.sample.group == item.set.origin and item.sample.label == item.previous_emotion for item in items)
    assert len({item.sample_id for item in items}) == len(items) == 3 * 6 * 2  # half of four per emotion


def test_short_sets_are_said(drawn):
    assert "group A set 3 (Excitation): 1 of 100" in drawn.short
    assert len(drawn.short) == 27


def test_the_second_stage_uses_other_samples(drawn):
    services.cross_check_draw("sB", seed=7)
    stage_a, stage_b = previous_of("sA"), previous_of("sB")
    assert len(stage_b) == len(stage_a)
    assert not set(stage_a) & set(stage_b)


def test_rounds_are_blind_and_for_members_only(drawn, groups):
    turns = Assignment.objects.filter(round="sA")
    assert set(turns.values_list("person__role", flat=True)) == {"annotator"}
    assert turns.count() == 3 * 12 * 3 == drawn.turns
    of_a = turns.filter(person__in=groups["A"])
    assert set(of_a.values_list("sample__group__letter", flat=True)) == {"B"}
    orders = [list(of_a.filter(person=person).order_by("order").values_list("sample_id", flat=True)) for person in groups["A"][:3]]
    assert orders[0] != orders[1]


def test_drawn_again_nothing_changes(drawn):
    again = services.cross_check_draw("sA", seed=99)
    assert [row.pk for row in again.sets] == [row.pk for row in drawn.sets]
    assert again.turns == 0


def test_the_same_seed_draws_the_same_samples(pilot):
    first = previous_of(services.cross_check_draw("sA", seed=7).stage)
    Assignment.objects.filter(round="sA").delete()
    CrossCheckSet.objects.all().delete()
    assert previous_of(services.cross_check_draw("sA", seed=7).stage) == first


@pytest.mark.parametrize(("stage", "words"), [("s1", "a stage is called"), ("label", "a stage is called")])
def test_a_wrong_stage_name_is_refused(pilot, stage, words):
    with pytest.raises(ValidationError, match=words):
        services.cross_check_draw(stage, seed=0)


def test_one_group_alone_cannot_cross_check(db):
    with pytest.raises(ValidationError, match="Two groups"):
        services.cross_check_draw("sA", seed=0)


def test_scores_have_the_papers_extremes(drawn):
    answer("sA")
    scores = selectors.stage_scores("sA")
    assert [row.intra_group for row in scores.groups] == pytest.approx([1, 1, 1])
    assert [row.inter_group for row in scores.groups] == pytest.approx([70, 70, 70])
    assert (scores.mean, scores.variance) == pytest.approx((70, 0))


def test_one_member_who_always_differs(drawn):
    answer("sA", wrong={"a0"})
    a, b, _ = selectors.stage_scores("sA").groups
    assert (a.group, a.reviews) == ("A", "B")
    assert a.intra_group == pytest.approx(2 / 3)
    assert a.inter_group == pytest.approx(70)  # the other two outvote
    ratios = {member.name: member.ratios for member in a.members}
    assert list(ratios.values()) == [[0] * 6, [1] * 6, [1] * 6]
    assert b.intra_group == 1


def test_a_sample_without_every_vote_waits_and_does_not_count(drawn):
    answer("sA")
    vote = Assignment.objects.filter(round="sA").first().votes.get()
    vote.undone_at = vote.created_at
    vote.save()
    waiting = [row for row in selectors.stage_scores("sA").groups if row.num_waiting]
    assert [(row.num_waiting, row.num_samples) for row in waiting] == [(1, 11)]


def test_nothing_labelled_yet_says_why(drawn):
    row = selectors.stage_scores("sA").groups[0]
    assert (row.intra_group, row.why) == (None, "no sample has every member's vote yet")


def test_scoring_keeps_the_numbers(drawn):
    answer("sA")
    report = services.cross_check_score("sA")
    assert ConsistencyReport.objects.get().numbers == json.loads(json.dumps(report.numbers))
    assert report.numbers["groups"][0]["sets"][0]["emotion"] == "Neutral"
    with pytest.raises(ValidationError, match="has not been drawn"):
        services.cross_check_score("sB")


def test_no_proposal_while_people_still_label(drawn):
    with pytest.raises(ValidationError, match="108 samples of stage sA still wait"):
        services.swap_propose("sA")


@pytest.fixture
def proposed(drawn):
    answer("sA", wrong={"a0", "a1"})
    return services.swap_propose("sA").step


def test_the_weakest_is_proposed_against_the_strongest_of_another_group(proposed, groups):
    assert (proposed.round, proposed.emotion, proposed.state) == (1, "Excitation", "proposed")
    assert proposed.low in groups["A"][:2]
    assert proposed.high not in groups["A"]
    assert proposed.numbers["gap"] == 1
    assert proposed.numbers["best"]["searched"] == 540
    assert proposed.numbers["expected_after"]["A"] > proposed.numbers["expected_now"]["A"]


def test_a_gap_of_few_samples_is_called_noise_only_when_it_is(proposed):
    assert proposed.numbers["within_noise"] is False  # 0 of 2 against 2 of 2 leaves the bootstrap no doubt
    assert len(proposed.numbers["gap_interval"]) == 2


def test_asked_again_the_same_proposal_stands(proposed):
    assert services.swap_propose("sA").step.pk == proposed.pk
    assert AdjustmentStep.objects.count() == 1


def test_a_confirmed_swap_moves_both_and_opens_their_new_sets(proposed, django_user_model):
    manager = django_user_model.objects.create(username="manager")
    before = {proposed.high_id: proposed.high.group, proposed.low_id: proposed.low.group}
    step = services.swap_apply(proposed.pk, user=manager)
    high, low = Person.objects.get(pk=step.high_id), Person.objects.get(pk=step.low_id)
    assert (high.group, low.group) == (before[low.pk], before[high.pk])
    assert (step.state, step.confirmed_by) == ("applied", manager)
    for person in (high, low):
        turns = Assignment.objects.filter(round="sA.1", person=person, state="open")
        assert turns.count() == 12
        assert set(CrossCheckItem.objects.filter(sample__in=turns.values("sample")).values_list("set__reviewer", flat=True)) == {
            person.group_id
        }


def test_a_swap_is_confirmed_once(proposed):
    services.swap_apply(proposed.pk, user=None)
    with pytest.raises(ValidationError, match="already applied"):
        services.swap_apply(proposed.pk, user=None)


def test_a_swap_is_refused_when_the_groups_have_changed(proposed):
    Person.objects.filter(pk=proposed.high_id).update(group=proposed.low.group)
    with pytest.raises(ValidationError, match="groups have changed"):
        services.swap_apply(proposed.pk, user=None)
    assert AdjustmentStep.objects.get().state == "proposed"


def test_a_rejected_swap_is_not_proposed_again(proposed):
    services.swap_reject(proposed.pk, user=None)
    other = services.swap_propose("sA").step
    assert other.pk != proposed.pk
    assert (other.high_id, other.low_id) != (proposed.high_id, proposed.low_id)


def test_the_loop_settles_when_the_groups_are_even_and_better(proposed):
    services.swap_apply(proposed.pk, user=None)
    with pytest.raises(ValidationError, match="still wait"):
        services.swap_propose("sA")
    answer("sA.1", wrong={"a0", "a1"})
    found = services.swap_propose("sA")  # one weak member in each of two groups: outvoted everywhere
    assert found.state == "settled"
    assert [row.inter_group for row in selectors.stage_scores("sA").groups] == pytest.approx([70, 70, 70])
    start = AdjustmentStep.objects.first().numbers["start_mean"]
    assert start < 70


def test_a_member_who_returns_is_not_asked_again(proposed):
    step = services.swap_apply(proposed.pk, user=None)
    answer("sA.1")
    AdjustmentStep.objects.create(
        stage="sA", round=1, emotion="Fear", state="proposed", high_id=step.high_id, low_id=step.low_id,
        numbers=proposed.numbers | {"allocation": {str(p.pk): p.group.letter for p in Person.objects.filter(role="annotator")}},
    )  # fmt: skip
    services.swap_apply(AdjustmentStep.objects.last().pk, user=None)
    assert not Assignment.objects.filter(round="sA.2").exists()
    assert selectors.stage_scores("sA").open_turns == 0


def test_equal_people_give_only_skips_with_their_reason(drawn):
    answer("sA")
    found = services.swap_propose("sA")
    assert found.state == "exhausted"
    steps = AdjustmentStep.objects.all()
    assert {step.state for step in steps} == {"skipped"}
    assert len(steps) == 18
    assert "0.05" in steps[0].numbers["reason"]


def test_own_samples_leave_the_ratio_but_not_the_majority(drawn, groups):
    answer("sA")
    item = CrossCheckItem.objects.filter(set__reviewer=groups["A"][0].group).first()
    cast(item.sample, groups["A"][0], item.previous_emotion, rung="exchange")  # helped to make the label
    row = next(member for member in selectors.stage_scores("sA").groups[0].members if member.person == groups["A"][0].pk)
    assert (row.intra_rater, sum(row.counts)) == (1, 11)
    assert selectors.stage_scores("sA").groups[0].num_samples == 12


def test_the_command_goes_from_draw_to_apply(pilot, capsys):
    call_command("cross_check", "draw", stage="sA", seed=7)
    answer("sA", wrong={"a0", "a1"})
    for action in ("score", "propose", "apply"):
        call_command("cross_check", action, stage="sA")
    out = capsys.readouterr().out
    assert "27 sets, 36 samples, 108 turns" in out
    assert "applied:" in out
    with pytest.raises(CommandError, match="still wait"):
        call_command("cross_check", "propose", stage="sA")


# --- cc.csv ------------------------------------------------------------------------------------------------------


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stage", "group", "set", "video", "previous_emotion", "annotator", "emotion"])
        writer.writerows(rows)
    return path


@pytest.fixture
def cc_rows(pilot, groups):
    rng = np.random.default_rng(2)
    rows = []
    for letter, origin in (("A", "B"), ("B", "C"), ("C", "A")):
        for index, emotion in enumerate(STAGE_SETS):
            sample = [s for s in pilot[origin] if s.label == emotion][index % 3]
            for person in groups[letter][:3]:
                said = emotion if rng.random() < 0.7 else EMOTIONS[rng.integers(6)]
                rows.append(["sA", letter, index, sample.video.number, emotion, person.user.username, said])
    return rows


def test_an_imported_cross_check_is_measured_as_drawn_ones_are(cc_rows, tmp_path, capsys):
    path = write_csv(tmp_path / "cc.csv", cc_rows)
    call_command("import_cross_check", str(path))
    call_command("import_cross_check", str(path))
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "27 sets, 27 samples, 81 new votes, 0 were here already"
    assert out[1] == "27 sets, 27 samples, 0 new votes, 81 were here already"
    call_command("consistency_report", stage="sA", format="json")
    numbers = json.loads(capsys.readouterr().out)
    for row in numbers["stages"][0]["groups"]:
        mine = [said == previous for stage, letter, _, _, previous, _, said in cc_rows if letter == row["group"]]
        assert row["intra_group"] == pytest.approx(np.mean(mine))  # one sample per set: every set weighs alike
        assert row["num_samples"] == 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((0, 0, "s1"), r"cc\.csv:2: stage 's1' is not"),
        ((3, 2, "9"), r"cc\.csv:5: set '9' is not 0\.\.8"),
        ((4, 3, "99999"), r"cc\.csv:6: video '99999' is unknown"),
        ((5, 5, "nobody"), r"cc\.csv:7: annotator 'nobody' is unknown"),
        ((6, 6, "Joy"), r"cc\.csv:8: 'Joy' is not an emotion"),
        ((7, 1, "Z"), r"cc\.csv:9: group 'Z' is unknown"),
        ((1, 5, "a0"), r"cc\.csv:2: video '\d+' needs 3 rows by different annotators"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_stored(cc_rows, tmp_path, change, words):
    row, column, value = change
    cc_rows[row][column] = value
    with pytest.raises(BadLines, match=words):
        services.cross_check_import(write_csv(tmp_path / "cc.csv", cc_rows))
    assert not CrossCheckSet.objects.exists()


def test_every_bad_line_is_reported(cc_rows, tmp_path):
    cc_rows[2][6], cc_rows[8][6] = "Joy", "Anger"
    with pytest.raises(CommandError) as refused:
        call_command("import_cross_check", str(write_csv(tmp_path / "cc.csv", cc_rows)))
    assert [line.split(" ")[0] for line in str(refused.value).splitlines()] == ["cc.csv:4:", "cc.csv:10:"]


def test_sad_is_taken_for_sadness_and_unknown_columns_are_refused(cc_rows, tmp_path):
    cc_rows = [[("Sad" if value == "Sadness" else value) for value in row] for row in cc_rows]
    assert services.cross_check_import(write_csv(tmp_path / "cc.csv", cc_rows)).votes == 81
    (tmp_path / "odd.csv").write_text("stage,group,mood\n")
    with pytest.raises(BadLines, match="column 'mood' is unknown"):
        services.cross_check_import(tmp_path / "odd.csv")


def test_answers_of_people_who_are_no_members_are_told(cc_rows, tmp_path, capsys, groups):
    """They would silently leave every sample of the group waiting."""
    stranger = make_person("zoe")
    cc_rows[0][5] = "zoe"
    call_command("import_cross_check", str(write_csv(tmp_path / "cc.csv", cc_rows)))
    assert capsys.readouterr().out.splitlines()[1] == "not counted until they are members of these groups: zoe of group A"
    assert stranger.votes.count() == 1


def test_sets_that_were_drawn_for_another_group_take_no_imported_answers(cc_rows, tmp_path, pilot):
    services.cross_check_draw("sA", seed=1, pairing="cyclic")
    CrossCheckSet.objects.filter(stage="sA", origin__letter="B", index=0).update(reviewer=Group.objects.get(letter="C"))
    before = CrossCheckItem.objects.count()
    with pytest.raises(BadLines, match="set 0 of stage sA from group B is here already: of Neutral, for group C"):
        services.cross_check_import(write_csv(tmp_path / "cc.csv", cc_rows))
    assert CrossCheckItem.objects.count() == before


def test_the_next_stage_confirms_the_swaps_on_fresh_samples(proposed):
    services.swap_apply(proposed.pk, user=None)
    answer("sA.1", wrong={"a0", "a1"})
    services.cross_check_draw("sB", seed=7)
    answer("sB", wrong={"a0", "a1"})
    found = services.swap_propose("sB")
    assert found.state == "confirmed"
    assert "can start the formal annotation" in found.text


def test_when_the_loop_ends_unsettled_the_best_groups_are_named(proposed):
    services.swap_apply(proposed.pk, user=None)
    answer("sA.1", wrong={"a0", "a1", proposed.high.user.username})  # the swap made it worse
    while (found := services.swap_propose("sA")).step:
        services.swap_reject(found.step.pk, user=None)
    assert found.state == "exhausted"
    assert "move them back on the people page" in found.text
    assert {str(proposed.high), str(proposed.low)} <= {
        words.strip().split(" in ")[0] for words in found.text.split("those with ")[1].split(",")
    }


def test_reversed_in_the_second_stage_the_groups_exchange_the_other_way(pilot):
    first = services.cross_check_draw("sA", seed=7, pairing="reverse_in_sB")
    second = services.cross_check_draw("sB", seed=7, pairing="reverse_in_sB")
    assert {(row.origin.letter, row.reviewer.letter) for row in first.sets} == {("A", "C"), ("B", "A"), ("C", "B")}
    assert {(row.origin.letter, row.reviewer.letter) for row in second.sets} == {("A", "B"), ("B", "C"), ("C", "A")}
    with pytest.raises(ValidationError, match="unknown pairing"):
        services.cross_check_draw("sC", seed=7, pairing="round")


@pytest.fixture
def worsened(proposed):
    """The proposed swap was made, and then both of the swapped and another failed."""
    services.swap_apply(proposed.pk, user=None)
    answer("sA.1", wrong={proposed.high.user.username, proposed.low.user.username})
    return proposed


def test_a_worsening_swap_is_kept_by_default(worsened):
    step = services.swap_propose("sA").step
    assert step is None or "reverts" not in step.numbers


def test_a_worsening_swap_is_proposed_back_and_nobody_labels_again(proposed):
    services.swap_apply(proposed.pk, user=None)
    answer("sA.1")
    previous = previous_of("sA")
    # in the group of the newcomer all three now say something else, each another emotion: S_r falls to 0
    for shift, person in enumerate(Person.objects.filter(group__letter="A", role="annotator"), start=1):
        for vote in Vote.objects.filter(person=person, round__startswith="sA"):
            Vote.objects.filter(pk=vote.pk).update(emotion=EMOTIONS[(EMOTIONS.index(previous[vote.sample_id]) + shift) % 6])
    before = {step.pk for step in AdjustmentStep.objects.all()}
    found = services.swap_propose("sA", policy="non_worsening")
    assert found.step.numbers["reverts"] == proposed.pk
    assert "back to where they were" in found.text
    assert (found.step.round, found.step.emotion) == (proposed.round, proposed.emotion)
    services.swap_apply(found.step.pk, user=None)
    assert not Assignment.objects.filter(round="sA.2").exists()
    now = {str(p.pk): p.group.letter for p in Person.objects.filter(role="annotator")}
    assert now == proposed.numbers["allocation"]
    following = services.swap_propose("sA")  # the stage goes on by its policy, at the next emotion
    assert {step.emotion for step in AdjustmentStep.objects.exclude(pk__in=before | {found.step.pk})} & {"Fear"}
    assert following.step is None or following.step.numbers["policy"] == "non_worsening"


def test_an_unknown_policy_is_refused(drawn):
    answer("sA", wrong={"a0"})
    with pytest.raises(ValidationError, match="unknown policy 'never'"):
        services.swap_propose("sA", policy="never")


@pytest.fixture
def reserve(groups):
    near = make_person("near", gender="M", work_experience=51)
    make_person("far", gender="M", work_experience=99)
    make_person("woman", gender="F", work_experience=50)
    Person.objects.filter(pk=groups["A"][0].pk).update(work_experience=50)
    return near


def test_the_nearest_reserve_takes_the_place_of_a_member_who_left(drawn, groups, reserve):
    gone = groups["A"][0]
    step = services.member_replace("sA", gone.pk, reason="resigned", user=None)
    gone.refresh_from_db()
    reserve.refresh_from_db()
    assert (step.state, step.high, step.low) == ("replaced", gone, reserve)
    assert (gone.group, gone.paused_reason, reserve.group) == (None, "resigned", groups["B"][0].group.__class__.objects.get(letter="A"))
    assert Assignment.objects.filter(round="sA", person=reserve, state="open").count() == 12
    answer("sA")
    assert [row.inter_group for row in selectors.stage_scores("sA").groups] == pytest.approx([70, 70, 70])
    assert str(reserve) in {member.name for member in selectors.stage_scores("sA").groups[0].members}


def test_the_loop_goes_on_after_a_replacement(proposed, groups, reserve):
    with pytest.raises(ValidationError, match="proposed swap is open"):
        services.member_replace("sA", groups["A"][0].pk, reason="resigned", user=None)
    services.swap_reject(proposed.pk, user=None)
    services.member_replace("sA", groups["A"][0].pk, reason="resigned", user=None)
    with pytest.raises(ValidationError, match="12 samples of stage sA still wait"):
        services.swap_propose("sA")
    answer("sA", wrong={"a0", "a1"})
    while (found := services.swap_propose("sA")).step:
        services.swap_reject(found.step.pk, user=None)
    assert found.state == "exhausted"


def test_a_member_whom_nobody_can_replace_stays(drawn, groups):
    with pytest.raises(ValidationError, match="Nobody in the reserve can replace"):
        services.member_replace("sA", groups["A"][0].pk, reason="resigned", user=None)
    with pytest.raises(ValidationError, match="is no member of the groups"):
        services.member_replace("sA", groups["A"][3].pk, reason="resigned", user=None)
    assert not AdjustmentStep.objects.exists()


def test_the_command_replaces_by_name(drawn, groups, reserve, capsys):
    call_command("cross_check", "replace", stage="sA", person="a0", reason="resigned")
    assert f"{reserve} takes the place of" in capsys.readouterr().out
    with pytest.raises(CommandError, match="nobody is called 'zoe'"):
        call_command("cross_check", "replace", stage="sA", person="zoe")


def test_a_member_who_is_paused_holds_nobody_up(drawn, groups):
    Person.objects.filter(pk=groups["A"][0].pk).update(paused_reason="resigned")
    answer("sA")
    Assignment.objects.filter(person=groups["A"][0], round="sA").update(state="open")
    scores = selectors.stage_scores("sA")
    assert scores.open_turns == 0
    assert len(scores.groups[0].members) == 2
    assert scores.groups[0].inter_group == pytest.approx(70)


# --- at the same time --------------------------------------------------------------------------------------------


def at_once(function, count=4):
    """The function in that many threads, released together; what each returned or raised."""
    barrier, outcomes = threading.Barrier(count), []

    def run():
        barrier.wait()
        try:
            outcomes.append(function())
        except Exception as error:  # the test looks at what was raised
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_stage_drawn_by_four_at_once_is_drawn_once(media_root):
    rows = [(100 * i + j + 1, EMOTIONS[j % 6], people) for i, people in enumerate(make_groups().values()) for j in range(24)]
    labelled_samples(rows, media_root)
    outcomes = at_once(lambda: services.cross_check_draw("sA", seed=7))
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert CrossCheckSet.objects.count() == 27
    assert sum(outcome.turns for outcome in outcomes) == 108 == Assignment.objects.filter(round="sA").count()
    answer("sA", wrong={"a0", "a1"})
    proposals = at_once(lambda: services.swap_propose("sA").step.pk)
    assert len(set(proposals)) == 1
    confirmed = at_once(lambda: services.swap_apply(proposals[0], user=None))
    assert sum(isinstance(outcome, AdjustmentStep) for outcome in confirmed) == 1
    assert all("already applied" in str(outcome) for outcome in confirmed if not isinstance(outcome, AdjustmentStep))
