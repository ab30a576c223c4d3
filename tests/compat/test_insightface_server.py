"""The page's script against a service that answers as InsightFace Server."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.compat.judges import judge, run_script, scripts
from tests.serving import running

from arcid.pipeline import Pipeline
from arcid.server.settings import Settings


@pytest.mark.data
@pytest.mark.slow
def test_a_script_changes_one_line(data_dir: Path, tmp_path: Path) -> None:
    before, after = scripts("insightface-server")
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1 and changed[0][0].startswith("BASE = ")
    pairs = data_dir / "data/deepface-pairs"
    for name, photo in (("ann", "img1"), ("ben", "img3"), ("door", "img4")):
        shutil.copyfile(pairs / f"{photo}.jpg", tmp_path / f"{name}.jpg")
    settings = Settings.load(database=str(tmp_path / "gallery.db"), compat="insightface-server")
    with running(settings, Pipeline.from_models(), None) as client:
        script = "\n".join(after)
        assert script.count("http://localhost:8000") == 1
        address = str(client.base_url).rstrip("/")
        (tmp_path / "after.py").write_text(script.replace("http://localhost:8000", address))
        said = run_script(judge("clients"), tmp_path / "after.py", home=tmp_path)
    found = re.fullmatch(r"ann (0\.\d+) from (0\.\d+)\n", said)
    assert found and float(found[1]) > float(found[2]), said
