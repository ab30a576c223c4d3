"""What every body is made of: names, rates, errors; unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

MAX_VECTOR = 4096  # values of one
MAX_VECTORS = 100  # of one request
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CollectionName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f\x7f]+$")
]
ExternalId = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="What another system calls them; one person's of a collection."),
]
Where = Annotated[
    dict[str, str | bool | int | float | None],
    Field(
        min_length=1,
        max_length=16,
        description="Only people whose metadata has these values, exactly.",
        examples=[{"site": "Berlin"}],
    ),
]
ContractId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(description="Of the model that made the vector."),
]
Vector = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]],
    Field(min_length=2, max_length=MAX_VECTOR, description="Any length; brought to unit norm."),
]
Rate = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


Next = Annotated[
    str | None, Field(description="Hand it in as `after` for the next page; null: the end.")
]


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse text that no UTF-8 answer could hold."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, str) and any("\ud800" <= char <= "\udfff" for char in item):
            raise ValueError("text must be valid Unicode without lone surrogates")
    return value


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_encodable),
    Field(description="Anything of yours, as JSON; at most 16 KiB.", examples=[{"badge": "4711"}]),
]


class In(BaseModel):
    """A JSON body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Out(BaseModel):
    """An answer, built from arcid's own values as their ``to_dict`` tells them."""

    model_config = ConfigDict(from_attributes=True)

    @model_validator(mode="before")
    @classmethod
    def _told(cls, value: Any) -> Any:
        return value.to_dict() if hasattr(value, "to_dict") else value


class ErrorBody(Out):
    code: str = Field(description="Stable, for programs.", examples=["no_face_found"])
    message: str = Field(description="What was wrong, what was expected, what to do.")
    details: dict[str, Any] = Field(description="Numbers behind the message.")


class ErrorEnvelope(Out):
    """Every error has this shape."""

    error: ErrorBody
    request_id: str = Field(description="Also in the X-Request-ID header and in the log.")
