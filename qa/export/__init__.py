"""Release folders: written whole, described for people and machines, verified."""

from qa.export.archive import Archive
from qa.export.clips import CLASSES, COLUMNS, SPLITS, Clip
from qa.export.description import Description
from qa.export.formats import FORMATS
from qa.export.imported import Player, find_clips, write_imported
from qa.export.release import MEDIA, Progress, ReleaseError, counts_of, read_manifest, read_rows, sha256_of, verify, write_release

__all__ = [
    "CLASSES",
    "COLUMNS",
    "FORMATS",
    "MEDIA",
    "SPLITS",
    "Archive",
    "Clip",
    "Description",
    "Player",
    "Progress",
    "ReleaseError",
    "counts_of",
    "find_clips",
    "read_manifest",
    "read_rows",
    "sha256_of",
    "verify",
    "write_imported",
    "write_release",
]
