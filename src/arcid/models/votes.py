"""Several detectors as one: ``a+b`` counts a face that the majority sees, ``any:a+b`` one that
any does, ``all:a+b`` one that all do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from arcid.errors import UsageError
from arcid.models.ensembles import each, joint_licence
from arcid.models.manifest import InputSpec, Manifest, canonical_json

Rule = Literal["any", "majority", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)


def needed(rule: Rule, members: int) -> int:
    """How many of the members must see a face. Raises ``UsageError`` for another rule."""
    counts = {"any": 1, "majority": members // 2 + 1, "all": members}
    if rule not in counts:
        raise UsageError(f"detectors vote by one of {', '.join(RULES)}, not {rule!r}")
    return counts[rule]


def split(name: str) -> tuple[Rule | None, str]:
    """The rule a name begins with, where it does, and the rest: the members."""
    for rule in RULES:
        if name.startswith(f"{rule}:"):
            return rule, name.removeprefix(f"{rule}:")
    return None, name


@dataclass(frozen=True, slots=True)
class VoteManifest(Manifest):
    """Of detectors that vote; made from its members' and never read from a file."""

    @property
    def files(self) -> dict[str, str]:
        """None of its own."""
        return {}


def manifest(name: str, members: Mapping[str, Manifest], rule: Rule) -> Manifest:
    """Of these detectors together."""
    listed = list(members.values())
    about = {"rule": rule, "members": [m.sha256 for m in listed]}
    precisions = {m.precision for m in listed}
    return VoteManifest(
        name=name,
        task="detection",
        family="vote",
        sha256=hashlib.sha256(canonical_json(about)).hexdigest(),
        input=InputSpec(None, "RGB", (0.0,) * 3, (1.0,) * 3, None),
        licence=joint_licence([m.licence for m in listed]),
        precision=precisions.pop() if len(precisions) == 1 else "fp32",
        description=f"faces that {_words(rule)} of {', '.join(members)} see",
        training_data=each(m.training_data for m in listed),
        source=each(m.source for m in listed),
        options={"rule": rule},
    )


def _words(rule: Rule) -> str:
    return {"any": "one or more", "majority": "more than half", "all": "all"}[rule]
