"""A machine with a GPU may lack PyAV: the step is measured there, and a clip's source is refused with the remedy."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from training.engine import runs

WITHOUT = """
import sys
for name in ("av", "librosa", "django"):
    sys.modules[name] = None
import benchmarks.bench_step
from pathlib import Path
from training.engine import clips
try:
    clips.frame_count(Path("a.mp4"))
except ValueError as error:
    print(error)
"""


def test_the_step_is_measured_without_pyav_librosa_and_django():
    root = Path(__file__).resolve().parents[3]
    ran = subprocess.run([sys.executable, "-c", WITHOUT], cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "pip install av" in ran.stdout


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    def without_av(name):
        if name == "av":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(runs, "version", without_av)
    facts = runs.environment()
    assert facts["av"] is None
    assert facts["numpy"] == version("numpy")
