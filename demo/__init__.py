"""The whole journey on made-up material: a replica of the platforms, clips, people who are programs. Nothing imports this package."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
