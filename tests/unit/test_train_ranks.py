"""Ranks of one run wait for each other however long one takes, and scale their losses alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.unit.ranks_together import SCALE

SCRIPT = Path(__file__).with_name("ranks_together.py")


@pytest.mark.training
def test_ranks_wait_for_a_slow_one_and_overflow_together(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(tmp_path)], stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()[-2000:]
    one, two = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    for step in range(2):
        assert one[step]["scale"] == two[step]["scale"] == SCALE / 2
        assert one[step]["moved"] == two[step]["moved"] == bool(step)
        for name, value in one[step]["backbone"].items():
            if "running" not in name:  # batch norms count their own rank's photos
                assert value.equal(two[step]["backbone"][name]), name
