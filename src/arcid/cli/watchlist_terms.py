"""What a watchlist is for and when it alerts, as options of several commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from arcid.cli.options import when

ListName = Annotated[str, typer.Argument(help="List by name or by id.", metavar="LIST")]


def _given(kind: Any, flag: str, words: str) -> Any:
    return Annotated[kind | None, typer.Option(flag, help=words)]


#: Option → field of ``Terms``, and how it is given.
OPTIONS: dict[str, tuple[str, Any]] = {
    "purpose": ("purpose", _given(str, "--purpose", "What the list is for.")),
    "legal_basis": (
        "legal_basis", _given(str, "--legal-basis", "The law or consent that allows it."),
    ),
    "owner": ("owner", _given(str, "--owner", "Who answers for it.")),
    "expires": (
        "expires_at",
        _given(str, "--expires", "When it stops matching: 2026-12-31, within two years."),
    ),
    "false_alerts": (
        "false_alerts_per_hour",
        _given(float, "--false-alerts", "Budget of false alerts a camera-hour; default: 0.05."),
    ),
    "false_reviews": (
        "reviews_per_hour",
        _given(
            float, "--false-reviews",
            "The same of silent reviews; default: 0.5, or ten times --false-alerts above 0.5.",
        ),
    ),
    "looks": (
        "confirm_looks", _given(int, "--looks", "Looks at a face that have to agree; default: 2."),
    ),
    "cooldown": (
        "cooldown_s",
        _given(float, "--cooldown", "Seconds unseen until somebody alerts again; default: 300."),
    ),
    "keep_days": (
        "keep_days", _given(int, "--keep-days", "Days until alerts are erased; default: 30."),
    ),
    "role": (
        "roles",
        _given(
            list[str], "--role",
            "Console role that may see it; may be repeated; admin always may.",
        ),
    ),
    "account": (
        "accounts",
        _given(list[str], "--account", "Console account that may see it; may be repeated."),
    ),
    "camera": (
        "cameras",
        _given(list[str], "--camera", "Camera that looks for it; may be repeated; default: all."),
    ),
    "four_eyes": (
        "four_eyes",
        _given(bool, "--four-eyes/--two-eyes", "Whether two people have to confirm an alert."),
    ),
    "strangers": (
        "strangers",
        _given(
            str, "--strangers",
            "Kept of passers-by on no list: nothing (default), vector or crop.",
        ),
    ),
}  # fmt: skip


def with_terms(command: Callable[..., None]) -> Callable[..., None]:
    """A command with these options, which is handed those given as ``terms``: fields of ``Terms``
    to values."""

    @functools.wraps(command)
    def called(**given: Any) -> None:
        values = {field: given.pop(option) for option, (field, _) in OPTIONS.items()}
        values["expires_at"] = when(values["expires_at"])
        terms = {field: value for field, value in values.items() if value is not None}
        command(terms=terms, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(option, keyword, default=None, annotation=kind)
        for option, (_, kind) in OPTIONS.items()
    ]
    shown: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        shown += options if parameter.name == "terms" else [parameter.replace(kind=keyword)]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    called.__dict__["__signature__"] = inspect.Signature(shown)
    return called
