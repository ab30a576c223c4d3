"""Killed again and again during an import: each person once, each photo once, every reason kept."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from tests.toys import picture

from arcid.apps.importing import folder
from arcid.apps.jobs import Jobs, Options, begin_import
from arcid.gallery import Gallery

pytestmark = [pytest.mark.soak, pytest.mark.skipif(os.name != "posix", reason="kills processes")]
PEOPLE, EACH = 20, 3
BAD = 6
#: One service of several on the database: it takes up whatever job nobody works on.
CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from arcid import batch
from arcid.apps import enrol_writing
from arcid.apps.jobs import JobWorker, Jobs, Uploads, held, worker
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from tests.toys import Brightness, Squares

enrol_writing.BATCH = 3
batch.BATCH = 4
held.LASTS_S = held.Held.__init__.__kwdefaults__["lasts_s"] = 1.0
worker.LOOK_S = 0.05

class Slow(Brightness):
    def embed(self, crops):
        time.sleep(0.05)
        return super().embed(crops)

with Gallery.open(sys.argv[1]) as gallery:
    pipeline, uploads = Pipeline(Squares(), Slow()), Uploads(Path(sys.argv[1]).parent)
    jobs = JobWorker(gallery, pipeline, uploads, Path(sys.argv[2]))
    jobs.start()
    print("ready", flush=True)
    while any(job.state != "done" for job in Jobs(gallery).find()):
        time.sleep(0.02)
    jobs.close()
"""


def test_killed_at_random_moments_everybody_is_there_once(tmp_path: Path) -> None:
    people, path = tmp_path / "allowed" / "people", tmp_path / "gallery.db"
    shots: set[str] = set()
    for number in range(PEOPLE):
        for shot in range(EACH):
            image = picture(0)
            image[0, 0] = number, shot, 1
            place = people / f"Person {number}" / f"{shot}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Pil.fromarray(image).save(place)
            shots.add(f"Person {number}/{shot}.png")
    for number in range(BAD):
        (people / f"Person {number}" / "bad.jpg").write_bytes(b"no picture")
    draw = random.Random()
    seed = draw.randrange(2**32)
    draw.seed(seed)
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        spec = {"kind": "folder", "folder": "people"}
        options = Options(require_quality=False, allow_duplicate=True)
        job = begin_import(gallery, "staff", folder(people, spec), options)

        def done() -> int:
            return Jobs(gallery).get(job.id).done

        children: list[subprocess.Popen[str]] = []
        kills, end = 0, time.monotonic() + 300
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", CHILD, *map(str, (path, people.parent, root))]
        while Jobs(gallery).get(job.id).state != "done":
            assert time.monotonic() < end, f"nothing more is done (seed {seed})"
            children = [child for child in children if child.poll() is None]
            while len(children) < 2:  # two services, of which one has the job
                child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                assert child.stdout is not None and child.stdout.readline() == "ready\n"
                child.stdout.close()
                children.append(child)
            enough = done() + draw.randrange(1, 5)
            while done() < enough and Jobs(gallery).get(job.id).state != "done":
                assert time.monotonic() < end, f"nothing is done (seed {seed})"
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.05))
            doomed = draw.choice(children)
            if doomed.poll() is None and Jobs(gallery).get(job.id).state != "done":
                doomed.send_signal(signal.SIGKILL)
                kills += 1
            doomed.wait(20)
        for child in children:
            child.wait(60)
        found = Jobs(gallery).get(job.id)
        assert (found.total, found.done, found.refused) == (PEOPLE * EACH + BAD,) * 2 + (BAD,)
        enrolled = gallery.people("staff", limit=1000)
        assert sorted(p.name for p in enrolled) == sorted(f"Person {n}" for n in range(PEOPLE))
        sources = [f.source for p in enrolled for f in gallery.faces("staff", p.id)]
        assert sorted(sources) == sorted(shots), f"seed {seed}"
        left = {one.label: one.code for one in Jobs(gallery).every_refused(job.id)}
        bad = {f"Person {n}/bad.jpg": "image_unreadable" for n in range(BAD)}
        assert left == bad, f"seed {seed}"
        assert gallery.check() == [] and np.all([p.faces == EACH for p in enrolled])
    print(json.dumps({"kills": kills, "photos": len(sources), "refused": len(left)}))
