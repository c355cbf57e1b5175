import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", type=Path)
    args = parser.parse_args()
    with (args.release.parent / "prepared").open("a") as file:
        file.write(f"{args.release.name}\n")
    if os.environ.get("FAKE_FAIL") == "prepare":
        print("one clip cannot be decoded", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
