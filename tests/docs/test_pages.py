"""README, tutorials and the library page do what they show.

Fenced blocks of a page run in order, in one temporary folder and home that hold the photographs the
page speaks of (``ada1.jpg``, ``people/NAME/1.jpg``…):

- ```` ```bash ````     the whole block, by ``bash -euo pipefail``
- ```` ```console ````  its lines that begin with ``$ ``
- ```` ```python ````   the whole block, by a Python of its own with warnings as errors

A shell block that sets a machine up or does not end by itself (``make``, ``git clone``,
``pip install``, ``arcid serve``) is left to CI. A command that answers with an exit code other than
0 on purpose says so: ``arcid verify a.jpg b.jpg || true``. Anything else is not run: give output,
file contents and the like another fence (``text``, ``json``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serving import without_settings

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(bash|console|python)\n(.*?)^```$", re.M | re.S)
LEFT_OUT = ("make ", "git clone", "pip install", "arcid serve")
PAGES = (
    "README.md",
    "docs/library.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/tutorials/*.md")),
)
TRAINS = "docs/tutorials/own-model.md"
PHOTOS = {
    "ada1.jpg": "deepface-pairs/img1.jpg",
    "ada2.jpg": "deepface-pairs/img2.jpg",
    "grace1.jpg": "deepface-pairs/img3.jpg",
    "grace2.jpg": "deepface-pairs/img12.jpg",
    "door.jpg": "deepface-pairs/img4.jpg",
    "stranger.jpg": "deepface-pairs/img17.jpg",
    "group.jpg": "photos/group/couple.jpg",
}
PEOPLE = {TRAINS: 50}  # 12 on other pages
PHOTOS_EACH = 4


def blocks(page: str) -> list[tuple[str, str]]:
    return [
        (kind, body)
        for kind, body in BLOCK.findall((ROOT / page).read_text("utf-8"))
        if kind == "python" or not any(word in body for word in LEFT_OUT)
    ]


def lay_out(folder: Path, data: Path, people: int) -> None:
    """The photographs that a page speaks of."""
    for name, source in PHOTOS.items():
        shutil.copy(data / source, folder / name)
    several = [
        photos
        for person in sorted((data / "lfw-dev/images").iterdir())
        if len(photos := sorted(person.iterdir())) >= PHOTOS_EACH
    ]
    for number, photos in enumerate(several[:people], 1):
        own = folder / "people" / f"Person {number:02}"
        own.mkdir(parents=True)
        for index, photo in enumerate(photos[:PHOTOS_EACH], 1):
            shutil.copy(photo, own / f"{index}.jpg")


def command(kind: str, body: str) -> list[str]:
    if kind == "python":
        return [sys.executable, "-W", "error", "-c", body]
    if kind == "console":
        body = "\n".join(line[2:] for line in body.splitlines() if line.startswith("$ "))
    return ["bash", "-euo", "pipefail", "-c", body]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=pytest.mark.long if p == TRAINS else ()) for p in PAGES],
)
def test_page(page: str, data_dir: Path, tmp_path: Path) -> None:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    lay_out(folder, data_dir / "data", PEOPLE.get(page, 12))
    environment = {
        **without_settings(),
        "HOME": str(home),
        "ARCID_HOME": str(home / "arcid"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    ran = blocks(page)
    assert ran, "the page shows nothing to run"
    for number, (kind, body) in enumerate(ran, 1):
        done = subprocess.run(
            command(kind, body),
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=300,
        )
        shown = f"block {number} of {page}\n{body}\n--- printed\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, shown
