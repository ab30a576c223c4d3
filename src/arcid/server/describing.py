"""What the OpenAPI description says beside what routes say themselves."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from arcid.server.json_images import ImageIn
from arcid.server.schemas import ErrorEnvelope
from arcid.server.scopes import need_of

FORM = "multipart/form-data"
SCHEMAS = "#/components/schemas"
ERROR = {"application/json": {"schema": {"$ref": f"{SCHEMAS}/{ErrorEnvelope.__name__}"}}}
BINARY = "application/octet-stream"  # how a form's picture is described
IN_JSON = {
    "anyOf": [
        {
            "type": "string",
            "contentEncoding": "base64",
            "description": "JPEG, PNG, WebP, BMP, GIF or TIFF as base64, also as a data: URL.",
        },
        {"$ref": f"{SCHEMAS}/ImageIn"},
    ]
}


def describe(app: FastAPI) -> None:
    """Add both headers of a key, the shape of errors, what each route needs, and JSON where a form
    is taken."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        described = build()
        described["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        described["security"] = [{"bearer": []}, {"header": []}]
        schemas = described["components"]["schemas"]
        schemas["ImageIn"] = ImageIn.model_json_schema()
        _, shapes = models_json_schema(
            [(ErrorEnvelope, "serialization")], ref_template=f"{SCHEMAS}/{{model}}"
        )
        schemas |= shapes["$defs"]
        for item in described["paths"].values():
            for operation in item.values():
                if (need := need_of(operation["operationId"])) is not None:
                    operation["x-arcid-needs"] = need.to_dict()
                _take_json(operation, schemas)
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to add to it


def _take_json(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The same fields as those of the form, each picture as ``IN_JSON``."""
    content = operation.get("requestBody", {}).get("content", {})
    if FORM not in content:
        return
    form = schemas[content[FORM]["schema"]["$ref"].rpartition("/")[2]]
    name = f"Json_{operation['operationId']}"
    fields = {field: _in_json(one) for field, one in form["properties"].items()}
    schemas[name] = {**form, "title": name, "properties": fields, "additionalProperties": False}
    content["application/json"] = {"schema": {"$ref": f"{SCHEMAS}/{name}"}}


def _in_json(field: dict[str, Any]) -> dict[str, Any]:
    if field.get("contentMediaType") == BINARY:
        words = {key: field[key] for key in ("title", "description") if key in field}
        return copy.deepcopy(IN_JSON) | words
    found = dict(field)
    if "items" in found:
        found["items"] = _in_json(found["items"])
    if "anyOf" in found:
        found["anyOf"] = [_in_json(one) for one in found["anyOf"]]
    return found
