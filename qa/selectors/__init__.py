"""What is known about labels, agreement, the dataset and its releases."""

from qa.selectors.agreement import agreement_numbers, intra_annotator, ladder_counts, second_look, second_opinion_numbers
from qa.selectors.crosscheck import (
    Reviewed,
    StageScores,
    adjustment_log,
    answer_shares,
    as_numbers,
    candidates,
    open_turns,
    reviewers,
    rounds_of,
    stage_reviews,
    stage_scores,
    stages,
)
from qa.selectors.lineage import lineage, video_find
from qa.selectors.mos import mos_next, mos_numbers, mos_progress
from qa.selectors.releases import (
    Cast,
    Drift,
    Labelled,
    labelled_videos,
    posteriors,
    release_drift,
    release_facts,
    releases,
    votes_by_sample,
)
from qa.selectors.reports import last_report, report_history, set_rows
from qa.selectors.statistics import adjective_use, dataset_numbers, dataset_version, funnel_counts, raw_and_labelled
from qa.selectors.votes import CODES, SampleFacts, VoteTable, label_votes, member_votes, sample_facts, vote_table
from qa.selectors.waiting import waiting_for

__all__ = [
    "CODES",
    "Cast",
    "Drift",
    "Labelled",
    "Reviewed",
    "SampleFacts",
    "StageScores",
    "VoteTable",
    "adjective_use",
    "adjustment_log",
    "agreement_numbers",
    "answer_shares",
    "as_numbers",
    "candidates",
    "dataset_numbers",
    "dataset_version",
    "funnel_counts",
    "intra_annotator",
    "label_votes",
    "labelled_videos",
    "ladder_counts",
    "last_report",
    "lineage",
    "member_votes",
    "mos_next",
    "mos_numbers",
    "mos_progress",
    "open_turns",
    "posteriors",
    "raw_and_labelled",
    "release_drift",
    "release_facts",
    "releases",
    "report_history",
    "reviewers",
    "rounds_of",
    "sample_facts",
    "second_look",
    "second_opinion_numbers",
    "set_rows",
    "stage_reviews",
    "stage_scores",
    "stages",
    "video_find",
    "vote_table",
    "votes_by_sample",
    "waiting_for",
]
