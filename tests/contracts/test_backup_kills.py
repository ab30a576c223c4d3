"""SIGKILL at random moments of a backup and of a restore: nothing is lost, nothing is half."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import GalleryDamaged, StorageFull
from arcid.gallery import Gallery, NewFace, copying, opening
from arcid.types import Embeddings

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux signals"),
]
CONTRACT = "a" * 64
PEOPLE, MORE = 150, 30

BACKUP = """
    import sys
    from pathlib import Path
    from arcid.gallery import Gallery
    with Gallery.open(sys.argv[1]) as gallery:
        print("ready", flush=True)
        gallery.backup(Path(sys.argv[2]), replace=True)
        print("done", flush=True)
"""
RESTORE = """
    import sys
    from pathlib import Path
    from arcid.gallery import opening
    print("ready", flush=True)
    opening.restore(Path(sys.argv[2]), sys.argv[1], replace=True)
    print("done", flush=True)
"""


def fill(gallery: Gallery, first: int, count: int) -> None:
    for i in range(first, first + count):
        noise = np.random.default_rng(i).normal(size=(1, 256))
        crop = np.random.default_rng(i).integers(0, 256, (112, 112, 3), np.uint8)
        made = NewFace(Embeddings.normalised(noise, CONTRACT), f"photo-{i}", crop=crop)
        gallery.enrol("staff", f"Person {i}", [made])


def count(path: Path) -> int:
    with Gallery.open(path, create=False) as gallery:
        assert gallery.check() == []
        return gallery.collection("staff").people


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCID_KEY_STORE", str(tmp_path / "keys"))  # of all its copies
    path = tmp_path / "home" / "gallery.db"
    path.parent.mkdir()
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff", keep_crops=True)
        fill(gallery, 0, PEOPLE)
    return path


def killed_within(code: str, path: Path, file: Path, wait_s: float) -> bool:
    """Whether it was done before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), path, file],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        return process.stdout.read() == "done\n"


def length_s(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_a_killed_backup_leaves_the_one_before_it(path: Path, tmp_path: Path) -> None:
    file, chance = tmp_path / "b" / "one.db", random.Random()
    with Gallery.open(path) as gallery:
        lasts_s = length_s(lambda: gallery.backup(file))
    before = copying.inspect(file)
    with Gallery.open(path) as gallery:
        fill(gallery, PEOPLE, MORE)
    for _ in range(12):
        done = killed_within(BACKUP, path, file, chance.uniform(0, 1.3 * lasts_s))
        found = copying.inspect(file)  # whole, always
        assert found.rows["people"] == PEOPLE + MORE or (found == before and not done)
        if found != before:
            file.unlink()
            with Gallery.open(path) as gallery:
                person = gallery.find_person("staff", "Person 0")
                assert person is not None
                before = gallery.backup(file)
                gallery.update_person("staff", person.id, metadata={"n": chance.random()})
    with Gallery.open(path) as gallery:
        assert gallery.check() == [] and gallery.losses() == []
        gallery.backup(file, replace=True)
    assert [one.name for one in file.parent.iterdir()] == ["one.db"]


def test_a_killed_restore_leaves_the_old_gallery_or_the_new_one(path: Path, tmp_path: Path) -> None:
    file, chance = tmp_path / "b" / "one.db", random.Random()
    with Gallery.open(path) as gallery:
        gallery.backup(file)
        fill(gallery, PEOPLE, MORE)
    trial = tmp_path / "trial" / "gallery.db"
    lasts_s = length_s(lambda: opening.restore(file, str(trial)))
    seen = set()
    for _ in range(12):
        done = killed_within(RESTORE, path, file, chance.uniform(0, 2 * lasts_s))
        asides = list(path.parent.glob("*-aside-*Z"))
        now = count(path)
        seen.add(now)
        assert now in (PEOPLE, PEOPLE + MORE)
        if now == PEOPLE:
            assert {count(one) for one in asides} == {PEOPLE + MORE}
            with Gallery.open(path) as gallery:
                gallery.accept_losses()  # of the mark that a kill left there
                fill(gallery, PEOPLE, MORE)
        else:
            assert not done
        for one in path.parent.glob("*-aside-*"):
            one.unlink()
    opening.restore(file, str(path), replace=True)
    assert count(path) == PEOPLE
    assert not list(path.parent.glob(".*.copy"))


def test_a_full_disk_stops_a_backup_and_a_restore(
    path: Path, tmp_path: Path, tmpfs: Callable[[int], Path]
) -> None:
    """A disk on which there seems to be room, until it is full."""
    small, file = tmpfs(2), tmp_path / "one.db"
    assert path.stat().st_size > 2 << 20
    with Gallery.open(path) as gallery:
        with pytest.raises(StorageFull, match="MiB"):
            gallery.backup(small / "one.db")
        gallery.backup(file)
    with pytest.raises(StorageFull):
        opening.restore(file, str(small / "gallery.db"))
    assert list(small.iterdir()) == []
    with pytest.raises(GalleryDamaged):
        file.write_bytes(file.read_bytes()[: 1 << 20])
        opening.restore(file, str(path), replace=True)
    assert count(path) == PEOPLE
