"""The pages of quality and the dataset, and the site's front page."""

from qa.views.dataset import csv_table, dataset, figure, lineage, release, release_diff, release_verify
from qa.views.home import home
from qa.views.mos import mos, mos_clip, mos_study
from qa.views.quality import measure, propose, quality, rows, step

__all__ = [
    "csv_table",
    "dataset",
    "figure",
    "home",
    "lineage",
    "measure",
    "mos",
    "mos_clip",
    "mos_study",
    "propose",
    "quality",
    "release",
    "release_diff",
    "release_verify",
    "rows",
    "step",
]
