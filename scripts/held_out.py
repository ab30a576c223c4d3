"""Which people of the training sets no model here is ever trained on: two lists, made once.

    python scripts/held_out.py [--check]

``configs/held_out_select.txt`` (15 %) chooses between recipes, ``configs/held_out_calibrate.txt``
(5 %) chooses nothing: scores are calibrated on it. The lot is the SHA-256 of the name, so that
photos that are added later change nobody's place; families of fiw stay together, and sets without
identities are dealt by photo. ``--check`` compares the lists with the sets and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from arcid import files

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PEOPLE = ("vgg", "celeba-a", "celeba-b", "fiw")
PHOTOS = ("utk", "utk-b", "aaf")
SHARES = {"select": (0.0, 0.15), "calibrate": (0.15, 0.20)}
HEADER = "# {role}: people and photos no model is trained on, by scripts/held_out.py\n"


def lot(name: str) -> float:
    """0–1, the same for one name anywhere."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def names(data: Path, source: str) -> Iterator[tuple[str, str]]:
    """(what the lot is drawn for, what the list says), each line once."""
    with tarfile.open(data / "train" / f"{source}.tar") as archive:
        members = [member.name for member in archive if member.isfile()]
    if source in PHOTOS:
        yield from ((f"{source}/{name}",) * 2 for name in members)
        return
    for person in sorted({name.rpartition("/")[0] for name in members}):
        family = person.partition("_")[0]
        yield f"{source}/{family}", f"{source}/{person}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    data = Path(os.environ.get("ARCID_DATA", "../shared")) / "data"
    dealt = [(lot(drawn), line) for s in (*PEOPLE, *PHOTOS) for drawn, line in names(data, s)]
    for role, (low, high) in SHARES.items():
        lines = sorted(line for place, line in dealt if low <= place < high)
        text = HEADER.format(role=role) + "".join(f"{line}\n" for line in lines)
        path = CONFIGS / f"held_out_{role}.txt"
        if options.check and path.read_text() != text:
            sys.exit(f"{path.name} is not what this script would write")
        if not options.check:
            files.write_text(path, text)
        print(f"{role}: {len(lines)} identities and photos")


if __name__ == "__main__":
    main()
