"""What the commands of ``arcid gallery`` say alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arcid.cli.output import (
    print_table,
)


def print_contracts(contracts: Sequence[dict[str, Any]]) -> None:
    columns = ("model", "contract", "faces", "people", "people missing")
    print_table(
        columns,
        [
            (u["model_name"], u["contract_id"][:12], u["faces"], u["people"], u["missing_people"])
            for u in contracts
        ],
    )


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def day(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%d %H:%M"))
