"""Distillation: a student learns to embed like ready models, from photos with or without identity.

With f the student's embedding, t_i teacher i's, P_i a linear map to the teacher's space (none where
one teacher has the student's dimension), cosines over the B photos of a batch:

    cosine      mean over photos of 1 − cos(P_i f, t_i)
    relational  mean over pairs a ≠ b of (cos(f_a, f_b) − cos(t_a, t_b))²
                (Park et al., Relational Knowledge Distillation, CVPR 2019, sec. 3.2, on cosines)
    neighbours  whom each photo is near among those of the last steps (``objectives.neighbours``)
    margin      any loss of ``arcid.train.objectives.losses`` on the photos that have an identity
    features    mean over stages of ‖s(x) − T‖² / ‖T − x‖², T the teacher's map after the stage; the
                denominator is what the stage has to add, or the map's variance where shapes differ
                (hints: Romero et al., FitNets, ICLR 2015)

Neighbours are those of all teachers' vectors side by side. With ``joined`` these are the one
teacher, on the axes that keep most of their inner products. With ``stored`` teachers look once, at
the unchanged photo.

The maps P_i are thrown away afterwards; the whole embedding f is what is exported and scored.
``forced`` is stage-wise feature distillation: every stage is fed the *teacher's* map, so that all
learn side by side, each a shallow regression. The student learns far faster that way, but must then
be trained end to end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.backbones import Backbone
from arcid.train.backbones.inputs import to_input
from arcid.train.config.recipe import TrainConfig, expand_path
from arcid.train.data.dataset import TrainData
from arcid.train.data.features import embed_samples
from arcid.train.objectives.neighbours import Neighbours
from arcid.train.objectives.objective import FaceObjective, Step, create_classifier
from arcid.train.objectives.parts import Seen
from arcid.train.ranks import Ranks
from arcid.train.weights.taught import Taught, digests_of, principal_axes, turned_towards
from arcid.train.weights.teachers import Teacher

Stage = Callable[[Tensor], Tensor]
_ALIGNED_ON = 4096  # photos by which joined teachers are turned towards the student


class Student(nn.Module):
    """A backbone with a linear map to every teacher's space (``dims``) that is not its own.

    ``forward(images, maps)`` gives features, their images in the teachers' spaces, and the error of
    each compared stage. ``compared`` names the stages after which ``maps`` hold. ``axes``
    (ΣD, dim) bring joined teachers to the student's dimension.
    """

    axes: Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        dims: list[int],
        compared: list[str],
        forced: bool,
        positions: int,
        joined: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("axes", torch.zeros(joined, backbone.dim) if joined else None)
        own = len(dims) == 1 and dims[0] == backbone.dim
        self.projections = nn.ModuleList(
            [nn.Identity()] if own else [nn.Linear(backbone.dim, dim, bias=False) for dim in dims]
        )
        self.forced, self.positions = forced, positions
        self.segments = _segments(backbone, compared) if compared else []

    def forward(
        self, images: Tensor, maps: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        errors: list[Tensor] = []
        if not self.segments:
            features = self.backbone(images)
        elif self.forced:
            features, errors = self._forced(images, maps)
        else:
            features, errors = self._own_way(images, maps)
        return features, [project(features) for project in self.projections], errors

    def _own_way(self, images: Tensor, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, errors, before = images, [], images
        for segment, wanted in zip(self.segments, maps, strict=False):
            x, few = segment(x), self.photos(wanted.shape[2:], len(wanted))
            errors.append(stage_error(x[:few], wanted[:few], before[:few]))
            before = wanted
        return self.segments[-1](x), errors

    def _forced(self, images: Tensor, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        fed, errors = images, []
        for segment, wanted in zip(self.segments, maps, strict=False):
            few = self.photos(wanted.shape[2:], len(wanted))
            errors.append(stage_error(segment(fed[:few]), wanted[:few], fed[:few]))
            fed = wanted
        return self.segments[-1](fed), errors

    def photos(self, size: Sequence[int], batch: int) -> int:
        """Of how many photos of a batch maps of (H,W) ``size`` are compared."""
        few = -(-self.positions // math.prod(size)) if self.positions else batch
        return min(batch, max(few, 2))


def stage_error(found: Tensor, wanted: Tensor, before: Tensor) -> Tensor:
    """‖found − wanted‖² over what there was to add to ``before``; () float32."""
    if found.shape != wanted.shape:
        raise ConfigError(
            f"a stage gives maps of {tuple(found.shape[1:])}, the teacher's are "
            f"{tuple(wanted.shape[1:])}; compare other stages in distil.maps",
            key="distil.maps",
        )
    residual = before.shape == wanted.shape
    scale = (wanted - before).square().mean() if residual else wanted.var()
    return (found.float() - wanted).square().mean() / scale.clamp_min(1e-12)


def _segments(backbone: Backbone, compared: list[str]) -> list[Stage]:
    """The stages between the compared ones, joined; the last segment ends in the features."""
    stages = backbone.stages()
    unknown = [name for name in compared if name not in list(stages)[:-1]]
    if unknown or compared != [name for name in stages if name in compared]:
        raise ConfigError(
            f"distil.maps must name stages of the backbone once and in order, got "
            f"{', '.join(compared)}; it has {', '.join(list(stages)[:-1])}",
            key="distil.maps",
        )
    segments: list[Stage] = []
    chain: list[Stage] = []
    for name, stage in stages.items():
        chain.append(stage)
        if name in compared or name == list(stages)[-1]:
            segments.append(_joined(chain))
            chain = []
    return segments


def _joined(chain: list[Stage]) -> Stage:
    def run(x: Tensor) -> Tensor:
        for stage in chain:
            x = stage(x)
        return x

    return run


class DistilObjective(FaceObjective):
    """See the module. Photos without identity take part in all terms but the margin."""

    def __init__(self, config: TrainConfig, data: TrainData, ranks: Ranks) -> None:
        super().__init__(config, data.train.joined(data.unlabelled), ranks.device)
        self.config = config.distil
        pairs = [pair.partition("=") for pair in config.distil.maps]
        self.compared = [stage.strip() for stage, _, _ in pairs]
        tensors = [tensor.strip() for _, _, tensor in pairs]
        self.teachers = [
            Teacher(
                name,
                config.data.size,
                tensors if not number else [],
                flip=config.distil.flip or bool(config.distil.stored),
                precision="bf16" if config.precision.autocast == "bf16" else "f32",
            )
            for number, name in enumerate(config.distil.teachers)
        ]
        if len(self.samples) == 0:
            raise ConfigError("no photo is left to distil with; see data.min_images and keep")
        self.taught: list[Taught] = []
        if config.distil.stored:
            self.taught = self._look(expand_path(config.distil.stored), ranks)
        if config.distil.margin > 0:
            self.centres = create_classifier(config, len(data.classes), ranks)
        elif ranks.world > 1 and not any((self.config.cosine, self.config.relational,
                                          self.config.neighbours)):  # fmt: skip
            raise ConfigError(
                "distil.features alone leaves the embedding layer without a gradient, which "
                "several ranks cannot exchange; add distil.cosine, or train on one rank",
                key="distil.cosine",
            )

    def network(self, backbone: nn.Module) -> nn.Module:
        """The student; tried on two grey pictures, so that unlike maps are refused here."""
        assert isinstance(backbone, Backbone)
        c = self.config
        dims = [teacher.dim for teacher in self.teachers]
        joined = sum(dims) if c.joined else 0
        dims = [backbone.dim] if c.joined else dims
        student = Student(
            backbone, dims if c.cosine else [], self.compared, c.forced, c.positions, joined
        )
        if self.compared:
            device = next(backbone.parameters()).device
            grey = torch.full((2, 3, backbone.size, backbone.size), 127, dtype=torch.uint8)
            grey = grey.to(device)
            maps = self.teachers[0].maps(grey)
            with torch.no_grad():
                student.eval()(to_input(grey), maps)
            self._sizes = [wanted.shape[2:] for wanted in maps]
        if c.neighbours:
            said = backbone.dim if c.joined else sum(teacher.dim for teacher in self.teachers)
            memory = Neighbours(c.memory, backbone.dim, said, c.temperature)
            self.memory = memory.to(next(backbone.parameters()).device)
        return student.train()

    def begin(self, network: nn.Module) -> None:
        """Joined teachers: the axes, turned to where the student's vectors already are."""
        if not self.config.joined:
            return
        assert isinstance(network, Student) and network.axes is not None
        axes = principal_axes([t.all() for t in self.taught], network.backbone.dim)
        few = np.linspace(0, len(self.samples) - 1, min(len(self.samples), _ALIGNED_ON))
        rows = few.astype(np.int64)
        found = embed_samples(network.backbone.eval(), self.samples, rows, self.device)
        own, read = [], []
        for features, those, _ in found:
            own.append(F.normalize(features, dim=1).cpu())
            read += those
        network.backbone.train()
        joined = np.concatenate([t.vectors(np.array(read)) for t in self.taught], axis=1)
        axes = turned_towards(axes, joined, torch.cat(own).numpy())
        network.axes.copy_(torch.from_numpy(axes))

    def _look(self, folder: Path, ranks: Ranks) -> list[Taught]:
        """What the teachers say of every photo; the first rank asks those not yet asked."""
        digests = digests_of(self.samples)
        if not ranks.first:
            ranks.barrier()
        taught = [Taught(teacher, self.samples, digests, folder) for teacher in self.teachers]
        if ranks.first:
            ranks.barrier()
        return taught

    def _said(self, network: nn.Module, seen: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Unit-norm vectors of every teacher, or of all together, and maps of the first."""
        shown = seen.images if seen.clean is None else seen.clean
        if self.taught:
            said = [torch.from_numpy(t.vectors(seen.index)).to(self.device) for t in self.taught]
            student = cast(Student, getattr(network, "module", network))
            if student.axes is not None:
                said = [F.normalize(torch.cat(said, dim=1) @ student.axes, dim=1)]
            if not self.compared:
                return said, []
            if not student.forced:
                shown = shown[: max(student.photos(size, len(shown)) for size in self._sizes)]
            return said, self.teachers[0].maps(shown)
        said = []
        maps: list[Tensor] = []
        for teacher in self.teachers:
            embeddings, maps = teacher(shown)
            said.append(F.normalize(embeddings, dim=1))
        return said, maps

    def step(self, network: nn.Module, seen: Seen) -> Step:
        c = self.config
        taught, maps = self._said(network, seen)
        features, projected, errors = network(seen.inputs, maps)
        loss, facts = features.new_zeros((), dtype=torch.float32), {}
        if c.cosine:
            near = torch.stack(
                [
                    (F.normalize(own.float(), dim=1) * wanted).sum(dim=1)
                    for own, wanted in zip(projected, taught, strict=True)
                ]
            )
            facts["cosine"] = near.detach().mean()
            loss = loss + c.cosine * (1 - near).mean()
        if c.relational and len(features) > 1:
            term = torch.stack([relational(features, t) for t in taught]).mean()
            loss = loss + c.relational * term
            facts["relational"] = term.detach()
        if self.memory is not None:
            said, photo = F.normalize(torch.cat(taught, dim=1), dim=1), torch.from_numpy(seen.index)
            term = self.memory(F.normalize(features.float(), dim=1), said, photo.to(said.device))
            loss = loss + c.neighbours * term
            facts["neighbours"] = term.detach()
        if errors:
            term = torch.stack(errors).mean()
            loss = loss + c.features * term
            facts["stage_error"] = term.detach()
        if self.centres is not None:
            out = self.centres(features, seen.labels)
            loss = loss + c.margin * out.loss
            facts["train_accuracy"] = out.correct.sum() / (seen.labels >= 0).sum().clamp_min(1)
        return Step(loss, facts)


def relational(features: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference of the batch's pairwise cosines; () float32.

    ``features`` (B,D) of the student, ``taught`` (B,E) unit-norm of the teacher.
    """
    own = F.normalize(features.float(), dim=1)
    difference = own @ own.T - taught @ taught.T
    count = len(features)
    return difference.square().sum() / (count * (count - 1))


def effective_rank(vectors: Tensor) -> float:
    """exp of the entropy of the normalised singular values of centred (N,D) vectors, 1 to D.

    Roy & Vetterli, *The effective rank*, EUSIPCO 2007: how many dimensions are really in use.
    """
    centred = vectors.double() - vectors.double().mean(dim=0)
    values = torch.linalg.svdvals(centred)
    shares = values / values.sum().clamp_min(1e-30)
    return float(torch.exp(-(shares * shares.clamp_min(1e-30).log()).sum()))


__all__ = ["DistilObjective", "Student", "effective_rank", "relational", "stage_error"]
