import argparse
import json
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    parser.add_argument("--release", type=Path)
    args = parser.parse_args()
    fail = os.environ.get("FAKE_FAIL")
    if fail == "evaluate":
        return 7
    if fail != "result":
        (args.run / "result.json").write_text(json.dumps({"acc": 0.5, "wa_f1": 0.4, "uar": 0.3, "epochs": 3}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
