"""What a run tells: rows that survive kills and resumes, its speed, and a line for people."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from arcid.errors import StorageFull, UsageError
from arcid.train.engine.record import RUNNING_STEPS, Record, Table


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_come_back_and_later_ones_are_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    table = Table(path, 0)
    for step in (10, 20, 30):
        table.add(step, {"loss": step / 3})
    again = Table(path, 20)
    assert [row["step"] for row in again.numbers()] == [10, 20]
    assert again.numbers()[0]["loss"] == pytest.approx(10 / 3, rel=1e-5)
    again.add(30, {"loss": 1.5})
    assert [(row["step"], row["loss"]) for row in read(path)][-1] == ("30", "1.5")


def test_a_row_cut_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    table = Table(path, 0)
    table.add(10, {"loss": 3.0, "lr": 0.1})
    table.add(20, {"loss": 2.0, "lr": 0.1})
    whole = path.read_text()
    for length in range(whole.index("20,"), len(whole) - len(",0.1\r\n") + 1):
        path.write_text(whole[:length])
        assert [row["step"] for row in Table(path, 99).numbers()] == [10]


def test_a_new_column_rewrites_the_header(tmp_path: Path) -> None:
    path = tmp_path / "validation.csv"
    table = Table(path, 0)
    table.add(1, {"auc": 0.5})
    table.add(2, {"auc": 0.6, "accuracy": 0.7})
    assert read(path) == [
        {"step": "1", "auc": "0.5", "accuracy": ""},
        {"step": "2", "auc": "0.6", "accuracy": "0.7"},
    ]
    assert Table(path, 2).numbers()[0] == {"step": 1.0, "auc": 0.5}


def test_means_speed_and_running_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Record(tmp_path, 0) as record:
        for step in range(1, 5):
            now[0] += 0.5
            record.step(8, {"loss": float(step), "train_accuracy": step / 10})
        with record.paused():
            now[0] += 60
        record.flush(4, 0.25, {"lr": 0.1}, 0.5)
        record.validated(4, 0.25, {"held_auc": 0.75})
        for _ in range(RUNNING_STEPS):
            record.step(8, {"loss": 0.0, "train_accuracy": 1.0})
        record.validated(104, 6.5, {"held_auc": 0.8})
        assert record.validated_at == 104
        assert [row["train_accuracy"] for row in record.history()] == [0.25, 1.0]
        assert record.history()[0] == {
            "step": 4, "epoch": 0.25, "train_accuracy": 0.25, "held_auc": 0.75,
        }  # fmt: skip
    (row,) = read(tmp_path / "metrics.csv")
    assert row == {
        "step": "4", "epoch": "0.25", "lr": "0.1", "loss": "2.5", "train_accuracy": "0.25",
        "images_per_s": "16",
    }  # fmt: skip
    assert record.images_per_s == 16


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Record(None, 0, progress=True) as record:
        record.step(8, {"loss": 1.0})
        record.flush(1, 0.1, {}, 0.1)
        record.validated(1, 0.1, {"auc": 1.0})
        assert (record.history(), record.validated_at) == ((), -1)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_holds_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with Record(tmp_path, 0) as record:
        record.step(8, {"loss": 2.5})
        record.flush(10, 0.5, {"lr": 0.1}, 0.5)
        record.validated(10, 0.5, {"held_auc": 0.75})
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (events,) = (tmp_path / "tensorboard").iterdir()
    found = {
        value.tag: (event.step, value.tensor.float_val[0])
        for event in EventFileLoader(str(events)).Load()
        for value in event.summary.value
    }
    assert found["loss"] == (10, 2.5)
    assert found["held_auc"] == (10, 0.75)
    assert found["lr"][1] == pytest.approx(0.1)


def test_people_see_a_line_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Record(tmp_path, 0, progress=True) as record:
        record.step(8, {"loss": 2.5})
        record.flush(10, 0.5, {"lr": 0.1}, 0.25)
        record.validated(10, 0.5, {"held_auc": 0.75})
    out, err = capsys.readouterr()
    assert out == ""
    assert "held_auc 0.7500" in err
    assert "loss 2.5" in err
    assert "25.0 %" in err


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"metrics\.csv cannot be written"):
        Table(tmp_path / "file" / "metrics.csv", 0)
    table = Table(tmp_path / "metrics.csv", 0)
    table.add(1, {"loss": -0.5})
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match=r"metrics\.csv cannot be written: No space left"):
        table.add(2, {"loss": -0.25})
