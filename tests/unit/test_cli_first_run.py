"""Every command on a machine where nothing was done yet, and what it says before models load."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.docs.test_commands import COMMANDS, example_of

PHOTO = "deepface-pairs/img1.jpg"
EMPTY: dict[str, dict[str, Any]] = {
    "gallery list": {"collections": []},
    "gallery people": {"people": [], "next": None},
    "gallery status": {"collection": "default", "contracts": []},
    "gallery check": {"sound": True, "findings": []},
    "events list": {"collection": "default", "events": [], "next": None},
    "review list": {"reviews": [], "waiting": 0},
    "accounts list": {"accounts": []},
    "accounts sessions": {"sessions": []},
}


@pytest.fixture
def fresh(
    environment: Path,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """Runs one command in an empty home and an empty folder; nothing is remembered in between."""
    from arcid.cli import app
    from arcid.cli.output import run_command

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("ARCID_DATA")

    def run(*argv: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_command(app, [str(word) for word in argv])
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize("name", EMPTY)
def test_what_lists_answers_that_nothing_is_there(fresh: Any, name: str) -> None:
    code, out, err = fresh(*name.split(), "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert {key: answer[key] for key in EMPTY[name]} == EMPTY[name]


#: These do not end, take minutes or fetch: the others run as documented.
LEFT_OUT = ("access watch", "attend", "bench", "models pull", "serve", "watchlist watch")


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in LEFT_OUT])
def test_every_example_ends_with_a_sentence(fresh: Any, name: str) -> None:
    """Their files and people are not there, and that is what is said: not that nothing is."""
    words = shlex.split(example_of(COMMANDS[name]))[1:]
    code, _, err = fresh(*words)
    assert code in (0, 2, 3, 4, 5), (code, err)
    assert "there is no gallery" not in err and "no collection 'default'" not in err
    if code:
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(line) > 30


def test_a_gallery_that_was_named_is_not_made_by_asking(
    fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not mounted, say, is not answered with "nobody"."""
    code, _, err = fresh("gallery", "list", "--database", tmp_path / "typo.db")
    assert code == 5 and "there is no gallery at" in err
    monkeypatch.setenv("ARCID_DATABASE", str(tmp_path / "disk" / "gallery.db"))
    code, _, err = fresh("gallery", "people")
    assert code == 5 and "there is no gallery at" in err
    assert not (tmp_path / "typo.db").exists() and not (tmp_path / "disk").exists()


def test_a_gallery_that_is_gone_is_not_made_anew_by_asking(fresh: Any, environment: Path) -> None:
    """The service refuses to begin anew there; a file made meanwhile would hide the loss."""
    from arcid import paths

    key = paths.home_dir() / "console.key"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_text("ab" * 32)
    code, _, err = fresh("gallery", "people")
    assert code == 5 and "there is no gallery at" in err
    assert [file.name for file in key.parent.iterdir()] == ["console.key"]


def test_a_collection_left_out_is_missed_where_there_are_others(fresh: Any) -> None:
    """An empty one, made meanwhile, would answer that somebody of "staff" is nobody."""
    assert fresh("gallery", "create", "staff")[0] == 0
    code, _, err = fresh("gallery", "people")
    assert code == 5 and "there is no collection 'default'" in err
    code, out, _ = fresh("gallery", "list", "--json")
    assert [one["name"] for one in json.loads(out)["collections"]] == ["staff"]


@pytest.mark.data
def test_everybody_is_unknown_where_nobody_is_enrolled(
    fresh: Any, data_dir: Path, tmp_path: Path
) -> None:
    photo = data_dir / "data" / PHOTO
    code, out, err = fresh("attend", "--source", photo, "--json")
    assert code == 0, err
    assert "nobody is enrolled in 'default' yet, so everybody will be an unknown visitor" in err
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["unknown"]
    code, out, err = fresh("events", "list", "--json")
    assert [event["kind"] for event in json.loads(out)["events"]] == ["unknown"]
    assert fresh("search", photo)[0] == 1
    assert fresh("enrol", "Ann", photo)[0] == 0 and fresh("search", photo)[0] == 0
    code, _, err = fresh("attend", "--source", photo, "--collection", "staff")
    assert code == 0 and "nobody is enrolled in 'staff' yet" in err


CHEAP: dict[str, tuple[int, tuple[str, ...], str]] = {
    "detect: no photo": (3, ("detect", "gone.jpg"), "gone.jpg"),
    "detect: no place": (2, ("detect", "PHOTO", "--crops", "/dev/null/x"), "/dev/null/x"),
    "embed: no photo": (3, ("embed", "gone.jpg", "-o", "x.npz"), "gone.jpg"),
    "embed: no place": (2, ("embed", "PHOTO", "-o", "/dev/null/x.npz"), "/dev/null/x.npz"),
    "verify: no photo": (3, ("verify", "PHOTO", "gone.jpg"), "gone.jpg"),
    "verify: no such rate": (2, ("verify", "PHOTO", "PHOTO", "--fmr", "7"), "fmr"),
    "verify: nobody": (5, ("verify", "PHOTO", "--person", "Ann"), "Ann"),
    "search: no such rate": (2, ("search", "PHOTO", "--fpir", "0"), "fpir"),
    "search: no photo": (3, ("search", "gone.jpg"), "gone.jpg"),
    "search: no collection": (5, ("search", "PHOTO", "--collection", "staff"), "'staff'"),
    "enrol: no photo": (3, ("enrol", "Ann", "gone.jpg"), "gone.jpg"),
    "enrol: no folder": (3, ("enrol", "--from", "gone"), "gone"),
    "enrol: no place": (2, ("enrol", "Ann", "PHOTO", "--database", "/dev/null/x/g.db"), "/dev/nul"),
    "liveness: no photo": (3, ("liveness", "gone.jpg"), "gone.jpg"),
    "liveness: no such score": (2, ("liveness", "PHOTO", "--threshold", "7"), "--threshold"),
    "attend: no source": (3, ("attend", "--source", "gone.mp4"), "gone.mp4"),
    "attend: no such rate": (2, ("attend", "--source", "PHOTO", "--fpir", "7"), "fpir"),
    "attend: no such word": (2, ("attend", "--source", "PHOTO", "--keep", "all"), "--keep"),
    "attend: no place": (
        2, ("attend", "--source", "PHOTO", "--database", "/dev/null/x/g.db"), "/dev/null",
    ),
    "calibrate: no folder": (3, ("calibrate", "gone"), "gone"),
    "calibrate: no place": (2, ("calibrate", "gone", "-o", "/dev/null/x/c.json"), "/dev/null/x"),
    "evaluate: no data": (3, ("evaluate", "folder", "--data", "gone"), "gone"),
    "evaluate: no place": (
        2, ("evaluate", "folder", "--data", "gone", "-o", "/dev/null/x"), "/dev/null/x",
    ),
    "evaluate: no cache": (
        2, ("evaluate", "folder", "--data", "gone", "--cache", "/dev/null/x"), "/dev/null/x",
    ),
    "compare: no data": (3, ("compare", "a", "b", "--data", "gone"), "gone"),
    "bench: no place": (2, ("bench", "-o", "/dev/null/x/b.csv"), "/dev/null/x"),
    "reembed: no collection": (5, ("gallery", "reembed", "--collection", "staff"), "'staff'"),
    "import: no file": (
        4, ("models", "import", "gone.onnx", "--name", "x", "--like", "arcface"), "gone.onnx",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEAP)
def test_what_is_cheap_to_see_is_said_before_a_model_is_opened(
    fresh: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a model was opened")

    monkeypatch.setattr("arcid.runtime.openvino.OpenVinoSession.__init__", opened)
    monkeypatch.setattr("arcid.runtime.onnxruntime.OnnxRuntimeSession.__init__", opened)
    expected, words, said = CHEAP[name]
    photo = str(data_dir / "data" / PHOTO)
    code, _, err = fresh(*(photo if word == "PHOTO" else word for word in words))
    assert code == expected, err
    assert said in err


def test_a_port_that_is_taken_is_said_before_a_model_is_opened(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a model was opened")

    monkeypatch.setattr("arcid.server.run._open_pipeline", opened)
    monkeypatch.setattr("arcid.server.logging.configure", lambda level: None)  # outlives a test
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = fresh("serve", "--port", port)
    assert code == 2 and f"cannot listen on 127.0.0.1:{port}" in err
