"""Many photos in groups: in order, each with its own error, some for every worker."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from arcid.apps.photos import embed_photos
from arcid.batch import BATCH, TOGETHER, named, run, run_together
from arcid.errors import ArcidError, InputError, UsageError


def prepare(numbers: Sequence[int]) -> list[int | ArcidError]:
    return [InputError(f"{n}") if n % 7 == 3 else n * 10 for n in numbers]


def finish(ready: Sequence[int]) -> list[int]:
    if any(n % 50 == 0 and n for n in ready):
        raise InputError("all of these")
    return [n + 1 for n in ready]


@pytest.mark.parametrize("count", [0, 1, 5, 9, 200])
def test_what_is_prepared_together_comes_out_as_alone(count: int) -> None:
    def one(number: int) -> int:
        (answer,) = prepare([number])
        if isinstance(answer, ArcidError):
            raise answer
        return answer

    def told(answers: Iterable[tuple[int, object]]) -> list[tuple[int, object]]:
        return [(k, a.message if isinstance(a, ArcidError) else a) for k, a in answers]

    numbers = [(n, n) for n in range(count)]
    together = told(run_together(numbers, prepare, finish, workers=2))
    assert together == told(run(numbers, one, finish, workers=2))
    assert [key for key, _ in together] == list(range(count))
    assert all(
        answer == ("all of these" if n % 5 == 0 and n else n * 10 + 1)
        for n, answer in together
        if n % 7 != 3
    )


def test_every_worker_gets_some_of_a_few_and_nobody_too_many() -> None:
    sizes: list[int] = []
    both = threading.Barrier(2, timeout=10)

    def watched(numbers: Sequence[int]) -> list[int | ArcidError]:
        sizes.append(len(numbers))
        both.wait()
        return [*numbers]

    assert len(list(run_together([(n, n) for n in range(6)], watched, list, workers=2))) == 6
    assert sizes == [3, 3]

    def alone(numbers: Sequence[int]) -> list[int | ArcidError]:
        sizes.append(len(numbers))
        return [*numbers]

    del sizes[:]
    list(run_together([(n, n) for n in range(5 * BATCH)], alone, list, workers=2))
    assert max(sizes) == TOGETHER and sum(sizes) == 5 * BATCH


PIXELS = np.zeros((20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    "single",
    ["ada.jpg", Path("ada.jpg"), b"\xff\xd8\xff", bytearray(9), memoryview(b"9"), PIXELS,
     PIXELS[..., 0] / 255, Image.fromarray(PIXELS), io.BytesIO(b"\xff\xd8\n")],
    ids=lambda single: type(single).__name__,
)  # fmt: skip
def test_a_single_picture_is_not_taken_for_many(single: Any) -> None:
    with pytest.raises(UsageError, match="into a list"):
        named(single)
    if not isinstance(single, (str, Path)):  # those it takes, as files and folders
        with pytest.raises(UsageError, match="into a list"):
            embed_photos(single)


def test_many_pictures_are_named() -> None:
    sources: list[Any] = [["a.jpg", PIXELS], np.array(["a.jpg", "b.jpg"]), (x for x in [PIXELS])]
    names = [[name for name, _ in named(some)] for some in sources]
    assert names == [["a.jpg", "photo 2"], ["a.jpg", "b.jpg"], ["photo 1"]]
    assert len(list(named(PIXELS[None]))) == 1
