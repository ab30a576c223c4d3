"""Checkpoints: whole or not there, whoever kills the process, and never another run's."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arcid.errors import CheckpointInvalid, CheckpointMismatch, StorageFull
from arcid.train.config.recipe import TrainConfig
from arcid.train.heads.classifier import reshard
from arcid.train.weights.checkpoint import (
    CheckpointStore,
    class_facts,
    open_checkpoint,
    random_state,
    restore_random_state,
)

CONFIG = TrainConfig()


def save(store: CheckpointStore, step: int, **options: Any) -> Path:
    options = {
        "position": step * 128,
        "config": CONFIG,
        "shared": {"model": {"w": torch.full((8,), float(step))}},
        "own": {"rng": random_state()},
        **options,
    }
    return store.save(step=step, **options)


def save_by(world: int, folder: Path, centres: Callable[[int], torch.Tensor]) -> Path:
    """A checkpoint that so many ranks, threads here, stored together."""
    barrier, brought, paths = threading.Barrier(world), dict[int, Any](), set[Path]()

    def rank(number: int) -> None:
        def everywhere(value: Any) -> list[Any]:
            barrier.wait()
            brought[number] = value
            barrier.wait()
            return [brought[n] for n in range(world)]

        own = {"centres": centres(number)}
        options = {"rank": number, "world": world, "everywhere": everywhere}
        paths.add(save(CheckpointStore(folder), 9, own=own, **options))

    threads = [threading.Thread(target=rank, args=(n,)) for n in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = paths
    return path


def test_everything_comes_back(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    store = CheckpointStore(tmp_path / "checkpoints")
    config = CONFIG.but(seed=7)
    save(
        store,
        12,
        config=config,
        shared={"model": network.state_dict(), "optimiser": optimiser.state_dict()},
        own={"centres": torch.arange(6.0), "rng": random_state()},
        extra={"seconds": 4.5},
    )
    found = store.latest()
    assert found is not None
    assert (found.step, found.position, found.world) == (12, 12 * 128, 1)
    assert found.config == config
    assert found.extra == {"seconds": 4.5}
    other = torch.nn.Linear(3, 2)
    other.load_state_dict(found.shared()["model"])
    assert torch.equal(other.weight, network.weight)
    again = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    again.load_state_dict(found.shared()["optimiser"])
    assert torch.equal(
        again.state[other.weight]["momentum_buffer"],
        optimiser.state[network.weight]["momentum_buffer"],
    )
    assert torch.equal(found.rank(0)["centres"], torch.arange(6.0))
    assert open_checkpoint(tmp_path).path == found.path  # the run's folder will do


def test_random_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    def draw() -> tuple[Any, ...]:
        return (
            random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(),
            torch.rand(3).tolist(), torch.randn(1).item(),
        )  # fmt: skip

    draw()
    random.gauss(0, 1)  # leaves half of a pair behind, in Python and in NumPy
    np.random.randn()
    store = CheckpointStore(tmp_path)
    save(store, 1)
    expected = draw()
    draw()
    found = store.latest()
    assert found is not None
    restore_random_state(found.rank(0)["rng"])
    assert draw() == expected


def test_only_the_last_are_kept_and_a_repeated_step_is_the_newest(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in (5, 10, 15, 20):
        save(store, step)
    assert [p.name for p in store.paths()] == ["step-00000015", "step-00000020"]
    save(store, 20, shared={"model": {"w": torch.tensor([-1.0])}})
    assert [p.name for p in store.paths()] == ["step-00000020", "step-00000020.1"]
    found = store.latest()
    assert found is not None
    assert found.shared()["model"]["w"].item() == -1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_what_is_stored_after_going_back_is_kept(keep: int, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep)
    for step in (5, 10, 15):
        save(store, step)
    (store.paths()[-1] / "shared.pt").unlink()  # as a disk loses it
    for step in (12, 13):
        assert save(store, step).is_dir()
        assert len(store.paths()) == keep
    found = store.latest()
    assert found is not None
    assert found.step == 13


def test_ranks_store_their_own_parts(tmp_path: Path) -> None:
    found = open_checkpoint(save_by(3, tmp_path, lambda rank: torch.full((2,), float(rank))))
    assert found.world == 3
    assert torch.cat([part["centres"] for part in found.ranks()]).tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(CheckpointMismatch, match="written by 3 ranks and has no part 3"):
        found.rank(3)


def rows_read(files: list[Path]) -> int:
    """Bytes of mapped files that this process has looked at."""
    names, mine, found = {str(file) for file in files}, False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            mine = line.split(maxsplit=5)[-1] in names
        elif mine and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def calls_read() -> int:
    """Bytes this process has had by read()."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(), reason="only Linux tells which pages of a file were read"
)
def test_another_number_of_ranks_reads_its_own_rows_alone(tmp_path: Path) -> None:
    rows, width = 16384, 256  # 16 MiB a rank
    path = save_by(4, tmp_path, lambda rank: torch.full((rows, width), float(rank)))
    files = sorted(path.glob("rank-*.pt"))
    whole = sum(file.stat().st_size for file in files)
    before = calls_read()
    parts = [part["centres"] for part in open_checkpoint(path).ranks()]
    mine = reshard(parts, 2, 8)
    assert torch.equal(mine, torch.ones(rows // 2, width))
    assert calls_read() - before < whole / 50
    assert rows_read(files) < whole / 8 + (4 << 20)  # the last pages may be of 2 MiB
    assert torch.equal(reshard(parts, 0, 1)[:, 0], torch.arange(4.0).repeat_interleave(rows))
    assert rows_read(files) > 0.9 * whole, "the count does not count"


def test_every_rank_sums_up_what_it_wrote_and_nothing_is_read_to_store(tmp_path: Path) -> None:
    before = calls_read()
    path = save_by(2, tmp_path, lambda rank: torch.rand(1 << 20))
    assert calls_read() - before < 1 << 20, "of 8 MiB"
    for name, facts in json.loads((path / "state.json").read_text())["files"].items():
        content = (path / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_checkpoint_of_before_whose_state_names_all_classes_opens(tmp_path: Path) -> None:
    names = ["vgg/n1", "vgg/n2"]
    path = save(CheckpointStore(tmp_path), 3, extra={"classes": names, "photos": 9})
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "format": 1}))
    assert open_checkpoint(path).extra == {**class_facts(names), "photos": 9}
    assert class_facts(names) != class_facts(names[::-1]) != class_facts(["vgg/n1vgg", "n2"])


def test_another_network_or_run_is_refused_by_the_keys_that_differ(tmp_path: Path) -> None:
    found = open_checkpoint(save(CheckpointStore(tmp_path), 1))
    assert found.check(CONFIG) == []
    model = CONFIG.model.but(backbone="vit_t")
    with pytest.raises(
        CheckpointMismatch, match=r"another network \(model.backbone: 'iresnet50' → 'vit_t'\)"
    ):
        found.check(CONFIG.but(model=model))
    optim = CONFIG.optim.but(lr=0.2)
    with pytest.raises(CheckpointMismatch, match=r"other settings: optim.lr: 0.1 → 0.2;"):
        found.check(CONFIG.but(optim=optim))
    longer = CONFIG.but(schedule=CONFIG.schedule.but(epochs=9.0), out="b")
    assert found.check(longer) == ["out: 'runs/train' → 'b'", "schedule.epochs: 0.0 → 9.0"]


def test_damage_is_noticed_and_an_older_one_serves(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    first = save(store, 1)
    second = save(store, 2)
    data = bytearray((second / "shared.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (second / "shared.pt").write_bytes(data)
    with pytest.raises(CheckpointInvalid, match="sha256"):
        open_checkpoint(second).shared()
    (second / "shared.pt").write_bytes(data[:-10])
    with pytest.raises(CheckpointInvalid, match="bytes of"):
        open_checkpoint(second)
    found = store.latest()
    assert found is not None and found.path == first
    (second / "rank-00000.pt").unlink()
    (second / "shared.pt").unlink()
    with pytest.raises(CheckpointInvalid, match="lacks its file"):
        open_checkpoint(second)
    (second / "state.json").write_text('{"format": 1')
    with pytest.raises(CheckpointInvalid, match=r"state\.json is damaged"):
        open_checkpoint(second)
    state = json.loads((first / "state.json").read_text())
    (second / "state.json").write_text(json.dumps({**state, "format": 99}))
    with pytest.raises(CheckpointInvalid, match="format 99"):
        open_checkpoint(second)
    with pytest.raises(CheckpointInvalid, match="holds no checkpoint"):
        open_checkpoint(tmp_path / "nowhere")
    assert CheckpointStore(tmp_path / "nowhere").latest() is None


def test_a_file_of_another_project_beside_a_run_is_none_of_its(tmp_path: Path) -> None:
    save(CheckpointStore(tmp_path / "run" / "checkpoints"), 1)
    (tmp_path / "checkpoint.pt").write_bytes(b"of somebody else")
    assert open_checkpoint(tmp_path / "run").step == 1
    assert open_checkpoint(tmp_path / "run" / "checkpoints").step == 1


def test_no_run_begins_anew_over_checkpoints_that_cannot_be_read(tmp_path: Path) -> None:
    def edit(path: Path, **changes: Any) -> None:
        state = json.loads((path / "state.json").read_text())
        (path / "state.json").write_text(json.dumps({**state, **changes}))

    store = CheckpointStore(tmp_path)
    first, second = save(store, 1), save(store, 2)
    config = json.loads((second / "state.json").read_text())["config"]
    for other in ({"format": 99}, {"config": {**config, "of_a_later_arcid": 1}}):
        edit(second, **other)
        with pytest.raises(CheckpointInvalid, match=r"step-00000002 (has format 99|was written)"):
            store.latest()  # step 1 is whole, but going on from it would remove step 2
        edit(second, format=2, config=config)
    (first / "shared.pt").unlink()
    (second / "shared.pt").unlink()
    with pytest.raises(CheckpointInvalid, match=r"no checkpoint in .* can be read, the newest bec"):
        store.latest()
    assert store.paths() == [first, second]


class _Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("echo gone off",)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = CheckpointStore(tmp_path)
    path = save(store, 1, shared={"model": _Bomb()})
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        open_checkpoint(path).shared()
    assert "gone off" not in capfd.readouterr().out
    assert pickle.dumps(_Bomb())  # the same content does pickle


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path)
    first = save(store, 1)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("arcid.files.os.fsync", full)
        with pytest.raises(StorageFull, match=r"step 2 was not stored: .*No space left"):
            save(store, 2)
    found = store.latest()
    assert found is not None and found.path == first
    save(store, 2)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    import torch
    from arcid.train.weights.checkpoint import CheckpointStore, random_state
    from arcid.train.config.recipe import TrainConfig

    folder, lots = Path(sys.argv[1]), random.Random(5)
    torch.set_num_threads(1)
    newest = drafts = 0
    for attempt in range(400):
        if attempt >= 40 and newest >= 20 and drafts >= 5:
            break  # how far a child comes before it is killed is up to the machine
        child = os.fork()
        if child == 0:
            store = CheckpointStore(folder, keep=2)
            step = newest
            while True:
                step += 1
                content = {"w": torch.full((60_000,), float(step))}
                store.save(step=step, position=step * 10, config=TrainConfig(), shared=content,
                           own={**content, "rng": random_state()})
        time.sleep(lots.uniform(0.01, 0.12) * (1 + attempt // 40))  # longer on a slow machine
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not folder.is_dir():
            continue
        drafts += any(p.name.startswith((".draft", ".old")) for p in folder.iterdir())
        found = CheckpointStore(folder, keep=2).latest()
        if found is None:
            assert newest == 0, "a stored checkpoint is gone"
            continue
        assert found.step >= newest, (found.step, newest)
        assert found.position == found.step * 10
        for part in (found.shared(), found.rank(0)):
            assert part["w"].unique().tolist() == [found.step]
        newest = found.step
    store = CheckpointStore(folder, keep=2)
    store.save(step=newest + 1, position=0, config=TrainConfig(), shared={}, own={})
    assert len(list(folder.iterdir())) == 2  # what the killed ones left is gone
    print(newest, drafts)
"""


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_at_any_moment_leaves_the_newest_whole(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(KILLED), str(tmp_path / "c")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    newest, drafts = map(int, ran.stdout.split())
    assert newest >= 20
    assert drafts >= 5  # it was really hit while writing
