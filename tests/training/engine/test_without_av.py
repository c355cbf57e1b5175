"""A machine with a GPU may lack PyAV: the step is measured there, and a clip's source is refused with the remedy."""

import subprocess
import sys
from pathlib import Path

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
