"""The pages of quality and the dataset, and the site's front page."""

from qa.views.dataset import csv_table, dataset, figure, lineage
from qa.views.design import design, design_table
from qa.views.home import home
from qa.views.mos import mos, mos_clip, mos_study
from qa.views.quality import behind, measure, opinions_file, quality, quality_table, ratio, rows
from qa.views.releases import release, release_diff, release_download, release_new, release_verify
from qa.views.swaps import propose, replace, step

__all__ = [
    "behind",
    "csv_table",
    "dataset",
    "design",
    "design_table",
    "figure",
    "home",
    "lineage",
    "measure",
    "mos",
    "mos_clip",
    "mos_study",
    "opinions_file",
    "propose",
    "quality",
    "quality_table",
    "ratio",
    "release",
    "release_diff",
    "release_download",
    "release_new",
    "release_verify",
    "replace",
    "rows",
    "step",
]
