"""One function shares work over processes: in order, a little at a time, and losses are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests import sharded

from arcid.errors import MissingExtra, NoFaceFound, UsageError, WorkerLost
from arcid.extras import EXTRAS
from arcid.gallery.engines import parse_url
from arcid.gallery.sharded import address
from arcid.sharding import AHEAD, Workers, shards, workers


@pytest.fixture(scope="module")
def two() -> Iterator[Workers]:
    with workers(2, threads=6) as over:
        assert over is not None
        yield over


def test_one_process_is_this_one() -> None:
    with workers() as over:
        assert over is None
        assert {pid for pid, *_ in shards(sharded.where, range(3), over)} == {os.getpid()}


def test_answers_come_in_order_from_other_processes(two: Workers) -> None:
    assert list(shards(sharded.square, range(50), two)) == [n * n for n in range(50)]
    assert list(shards(sharded.slower_first, range(8), two)) == list(range(8))
    found = list(shards(sharded.where, range(20), two))
    assert os.getpid() not in {pid for pid, *_ in found}
    assert {tuple(limits) for _, *limits in found} == {("3", "3")}
    assert list(shards(sharded.square, [], two)) == []


def test_items_are_taken_as_they_are_needed(two: Workers) -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    answers = shards(sharded.square, source(), two)
    assert next(answers) == 0
    assert len(taken) <= 2 * AHEAD


def test_what_the_work_raises_comes_back_whole(two: Workers) -> None:
    answers = shards(sharded.fails, range(5), two)
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(NoFaceFound) as caught:
        next(answers)
    assert caught.value.message == "no face in the photo"
    assert caught.value.details == {"photo": "b.jpg"}
    assert list(shards(sharded.square, range(3), two)) == [0, 1, 4]  # the workers are still there


def test_a_killed_worker_is_told_with_what_is_kept() -> None:
    done = []
    with (
        workers(2) as over,
        pytest.raises(WorkerLost, match=r"killed, or ran out of memory.*It is kept"),
    ):
        for answer in shards(sharded.killed, range(40), over, kept="It is kept."):
            done.append(answer)
    assert done == list(range(len(done))) and len(done) <= 3


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A leader of its own."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join((str(root / "src"), str(root)))
    patient = {"PYTHONPATH": path, "RAY_raylet_start_wait_time_s": "300"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=os.environ | patient,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_workers_end_with_the_process_that_began_them_however_it_ends() -> None:
    script = """
        import os, signal
        from arcid.sharding import shards, workers
        from tests import sharded

        with workers(2) as over:
            print(*{pid for pid, *_ in shards(sharded.where, range(9), over)}, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(script)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    until = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("count", [0, -1, 257])
def test_a_number_of_processes_that_is_none_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="1 to 256"), workers(count):
        raise AssertionError


def test_processes_and_ray_exclude_one_another() -> None:
    with pytest.raises(UsageError, match="one of the two"), workers(2, "auto"):
        raise AssertionError


@pytest.mark.parametrize("ray", ["", "nobody", "a b:1", "host:port", "http://host:6379/x"])
def test_an_address_that_is_none_is_refused(ray: str) -> None:
    with pytest.raises(UsageError, match="auto, local or HOST:PORT"), workers(ray=ray):
        raise AssertionError


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_told(address: str) -> None:
    pytest.importorskip("ray", reason="sharing work over Ray needs arcid[ray]")
    with pytest.raises(UsageError, match=f"answers at {address}"), workers(ray=address):
        raise AssertionError


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "ray", ("no_such_module",))
    with pytest.raises(MissingExtra, match=r"arcid\[ray\]"), workers(ray="local"):
        raise AssertionError


@pytest.mark.parametrize(
    "url", ["postgresql://ann:hunter2@db/arcid", "postgresql://db/arcid?user=ann&password=hunter2"]
)
def test_the_password_of_a_gallery_never_goes_through_ray(url: str) -> None:
    database: Any = SimpleNamespace(url=parse_url(url), path=None)
    private, open_to_others = (cast("Workers", SimpleNamespace(private=p)) for p in (True, False))
    assert "hunter2" in address(database, private)  # a pipe between two processes of one user
    with pytest.raises(UsageError, match="pgpass") as caught:
        address(database, open_to_others)
    assert "hunter2" not in caught.value.message
    database.url = parse_url("postgresql://ann@db/arcid")
    assert address(database, open_to_others) == "postgresql+psycopg://ann@db/arcid"


def test_no_worker_needs_torch_and_the_environment_is_left_as_it_was() -> None:
    before = dict(os.environ)
    with workers(2) as over:
        found = list(shards(sharded.loaded, range(2), over))
    assert os.environ == before
    assert found and not any("torch" in names for names in found)


# Ray


@pytest.fixture(scope="module")
def ray() -> Iterator[Workers]:
    with sharded.ray_of_two() as over:
        yield over


@pytest.mark.engine
class TestRay:
    def test_answers_come_in_order_one_core_each(self, ray: Workers) -> None:
        assert list(shards(sharded.slower_first, range(20), ray)) == list(range(20))
        found = list(shards(sharded.where, range(8), ray))
        assert os.getpid() not in {pid for pid, *_ in found}
        assert {tuple(limits) for _, *limits in found} == {("1", "1")}
        assert not any("torch" in names for names in shards(sharded.loaded, range(2), ray))

    def test_a_ray_that_was_there_is_used_and_left_on(self, ray: Workers) -> None:
        with workers(ray="auto") as again:
            assert list(shards(sharded.square, range(3), again)) == [0, 1, 4]
        assert list(shards(sharded.square, range(3), ray)) == [0, 1, 4]

    def test_what_the_work_raises_comes_back_whole(self, ray: Workers) -> None:
        with pytest.raises(NoFaceFound) as caught:
            list(shards(sharded.fails, range(5), ray))
        assert type(caught.value) is NoFaceFound
        assert caught.value.details == {"photo": "b.jpg"}

    def test_a_shard_of_a_killed_worker_is_tried_again(self, ray: Workers, tmp_path: Path) -> None:
        dies = partial(sharded.dies_once, tmp_path / "mark")
        assert list(shards(dies, range(8), ray)) == list(range(8))
        assert (tmp_path / "mark").exists()

    def test_one_that_kills_every_worker_is_told_and_nothing_else_is_printed(self) -> None:
        script = """
            from arcid.errors import WorkerLost
            from arcid.sharding import shards, workers
            from tests import sharded

            try:
                with workers(ray="local") as over:
                    list(shards(sharded.killed, range(8), over, kept="It is kept."))
            except WorkerLost as error:
                print(error.message.rpartition(". ")[2])
        """
        done = run(script)
        assert done.stdout == "It is kept.\n"  # where --json prints
