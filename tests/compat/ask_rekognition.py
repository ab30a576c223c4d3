"""What boto3 is answered: the calls of a JSON file, run in order by the client's Python.

    ask_rekognition.py ENDPOINT KEYS.json CALLS.json OUT.json

A call is [operation, {parameters}, key]. In parameters ``{"photo": PATH}`` stands for the bytes of
a file, ``{"call": N, "path": [...]}`` for what the N-th call answered; an operation
``list_faces*`` is asked for page by page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(endpoint: str, keys: str, calls: str, out: str) -> None:
    named = json.loads(Path(keys).read_text())
    clients = {name: client(endpoint, key) for name, key in named.items()}
    answers: list[Any] = []
    for operation, parameters, key in json.loads(Path(calls).read_text()):
        given = {name: meant(value, answers) for name, value in parameters.items()}
        answers.append(asked(clients[key], operation, given))
    Path(out).write_text(json.dumps(answers, default=str))


def client(endpoint: str, key: str | None) -> Any:
    return boto3.client(
        "rekognition", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="arcid",
        aws_secret_access_key="unused", aws_session_token=key,
        config=Config(retries={"max_attempts": 0}),
    )  # fmt: skip


def asked(rekognition: Any, operation: str, given: dict[str, Any]) -> Any:
    try:
        if operation.endswith("*"):
            pages = rekognition.get_paginator(operation[:-1]).paginate(**given)
            return list(pages.search("Faces[].FaceId"))
        answer = getattr(rekognition, operation)(**given)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        modelled = type(error).__name__
        return {"raised": code, "class": modelled, "message": error.response["Error"]["Message"]}
    meta = answer.pop("ResponseMetadata")
    assert meta["HTTPStatusCode"] == 200 and meta["RequestId"]
    return answer


def meant(value: Any, answers: list[Any]) -> Any:
    if isinstance(value, list):
        return [meant(one, answers) for one in value]
    if not isinstance(value, dict):
        return value
    if "photo" in value:
        return {"Bytes": Path(value["photo"]).read_bytes()}
    if "call" in value:
        found = answers[value["call"]]
        for step in value["path"]:
            found = found[step]
        return found
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
