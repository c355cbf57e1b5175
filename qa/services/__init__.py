"""What changes in quality assurance: cross-checks, swaps of people, releases."""

from qa.services.releases import Difference, release_make, release_verify, releases_diff

__all__ = ["Difference", "release_make", "release_verify", "releases_diff"]
