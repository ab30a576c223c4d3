"""Several recognisers as one: ``a+b``, or with weights ``a@0.3+b@0.7``.

The vector of an ensemble is its members' unit vectors side by side, each multiplied by the square
root of its weight, so that a cosine of the ensemble is the weighted mean of the members' cosines.
Members lie in the order of their contracts: ``a+b`` and ``b+a`` make the same vectors.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arcid.errors import ManifestInvalid, UsageError
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec, canonical_json
from arcid.types import Template

DIGITS = 6  # of a weight; what is nearer than that is one ensemble
Member = tuple[str, float]  # contract id, weight


def parse(name: str) -> dict[str, float]:
    """Members and weights as written, 1 where none is. Raises ``UsageError``."""
    found: dict[str, float] = {}
    for part in name.split("+"):
        member, at, text = part.strip().rpartition("@")
        if not at:
            member, text = text, "1"
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not member or not 0 < weight < math.inf:
            raise UsageError(
                f"{name!r} is no ensemble: write models with plus signs between them, each with a "
                "weight above 0 where wanted: a+b, or a@0.3+b@0.7"
            )
        if member in found:
            raise UsageError(f"{member} is in the ensemble {name!r} twice; give it a weight: a@2+b")
        found[member] = weight
    return found


def shares(weights: Iterable[float]) -> list[float]:
    """Weights as shares of 1. Raises ``UsageError``."""
    given = [float(weight) for weight in weights]
    if len(given) < 2 or not all(0 < weight < math.inf for weight in given):
        raise UsageError("an ensemble has two members or more, each with a weight above 0")
    return [round(weight / sum(given), DIGITS) for weight in given]


def contract_id(members: Sequence[Member]) -> str:
    """Of the vectors of an ensemble: sha256 over its members' contracts and weights.

    Raises ``ManifestInvalid`` where two members make the same vectors.
    """
    listed = sorted((contract, round(weight, DIGITS)) for contract, weight in members)
    if len({contract for contract, _ in listed}) < len(listed):
        raise ManifestInvalid("two members of an ensemble make the same vectors; name one of them")
    return hashlib.sha256(canonical_json({"ensemble": listed})).hexdigest()


def crops(members: Iterable[tuple[Template, int]]) -> tuple[Template, int]:
    """Template and size of the crops of an ensemble, from its members': on the ArcFace template,
    of which others of points are cut. Raises ``ManifestInvalid`` where some want the box."""
    listed = list(members)
    boxed = {template == "box" for template, _ in listed}
    if len(boxed) > 1:
        raise ManifestInvalid(
            "members of an ensemble see one crop: those aligned by points and those cut by the box "
            "cannot be joined"
        )
    template: Template = "box" if boxed == {True} else "arcface"
    return template, max([size for kind, size in listed if kind == template], default=112)


@dataclass(frozen=True, slots=True)
class EnsembleManifest(Manifest):
    """Of an ensemble; made from its members' and never read from a file."""

    members: tuple[Member, ...] = ()

    @property
    def contract_id(self) -> str:
        return contract_id(self.members)

    @property
    def files(self) -> dict[str, str]:
        """None of its own."""
        return {}


def manifest(name: str, members: Mapping[str, Manifest], weights: Sequence[float]) -> Manifest:
    """Of the ensemble of these recognisers. Raises ``ManifestInvalid``, ``UsageError``."""
    listed = list(members.values())
    for one in listed:
        if one.output is None or one.input.size is None:
            raise ManifestInvalid(f"{one.name} is a {one.task} model, not a recogniser")
    own = shares(weights)
    template, size = crops((m.template, m.input.size[0]) for m in listed if m.input.size)
    joined = tuple(zip((m.contract_id for m in listed), own, strict=True))
    precisions = {m.precision for m in listed}
    return EnsembleManifest(
        name=name,
        task="recognition",
        family="ensemble",
        sha256=contract_id(joined),
        input=InputSpec(None, "RGB", (0.0,) * 3, (1.0,) * 3, (size, size)),
        output=OutputSpec(None, sum(m.output.dim for m in listed if m.output)),
        template=template,
        precision=precisions.pop() if len(precisions) == 1 else "fp32",
        licence=joint_licence([m.licence for m in listed]),
        description="ensemble: "
        + ", ".join(f"{one} {share:.0%}" for one, share in zip(members, own, strict=True)),
        training_data=each(m.training_data for m in listed),
        source=each(m.source for m in listed),
        members=joined,
    )


def joint_licence(licences: Sequence[Licence]) -> Licence:
    """Terms under which all of them may be used."""
    allowed = [licence.commercial_use for licence in licences]
    use = True if all(allowed) else False if False in allowed else None
    return Licence(each(licence.name for licence in licences), commercial_use=use)


def each(texts: Iterable[Any]) -> str:
    """Every text once."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
