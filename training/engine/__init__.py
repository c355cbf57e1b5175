import os

# OpenMP reads this when torch is loaded. Its default lets threads spin while they wait for each other: beside two busy processes on two cores that made
# training take eight times as long, for nothing gained on a quiet machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
