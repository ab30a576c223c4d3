"""What compreface-sdk is answered: the calls of a JSON file, run in order by the client's Python.

    ask_compreface.py URL PORT KEYS.json CALLS.json OUT.json

A call is [service, method, [arguments], {options}]; ``{"image": N, "field": name}`` in its
arguments stands for what the N-th call answered.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from compreface import CompreFace


def main(url: str, port: str, keys: str, calls: str, out: str) -> None:
    named = json.loads(Path(keys).read_text())
    answers: list[Any] = []
    for service, method, arguments, options in json.loads(Path(calls).read_text()):
        key = named[options.pop("key", "all")]
        target = reached(CompreFace(url, port), service, key)
        given = [answered(one, answers) for one in arguments]
        if options:
            given.append(options)
        try:
            answers.append(getattr(target, method)(*given))
        except Exception as error:
            answers.append({"raised": type(error).__name__})
    Path(out).write_text(json.dumps(answers))


def reached(system: Any, service: str, key: str) -> Any:
    if service == "detection":
        return system.init_face_detection(key)
    if service == "verification":
        return system.init_face_verification(key)
    recognition = system.init_face_recognition(key)
    if service == "faces":
        return recognition.get_face_collection()
    return recognition.get_subjects() if service == "subjects" else recognition


def answered(value: Any, answers: list[Any]) -> Any:
    return answers[value["call"]][value["field"]] if isinstance(value, dict) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
