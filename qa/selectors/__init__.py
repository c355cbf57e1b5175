"""What is known about labels, agreement, the dataset and its releases."""

from qa.selectors.releases import (
    Cast,
    Drift,
    Labelled,
    labelled_videos,
    posteriors,
    release_by_digest,
    release_drift,
    release_facts,
    releases,
    video_ids,
    votes_by_sample,
)
from qa.selectors.votes import CODES, SampleFacts, VoteTable, label_votes, member_votes, sample_facts, vote_table

__all__ = [
    "CODES",
    "Cast",
    "Drift",
    "Labelled",
    "SampleFacts",
    "VoteTable",
    "label_votes",
    "labelled_videos",
    "member_votes",
    "posteriors",
    "release_by_digest",
    "release_drift",
    "release_facts",
    "releases",
    "sample_facts",
    "video_ids",
    "vote_table",
    "votes_by_sample",
]
