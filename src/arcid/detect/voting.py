"""Faces on which several detectors agree.

Boxes are joined as in weighted boxes fusion (Solovyev, Wang and Gabruseva, "Weighted boxes fusion",
Image and Vision Computing 107, 2021): best score first, a box joins the face whose box so far it
overlaps most, or begins one; a face's box is the mean of its boxes, weighed by their scores. Other
than there a detector has one box a face, and a face's score is the mean of those who see it: not
the score but a rule says how many have to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Detector, check_images, check_share, name_of
from arcid.detect.second_try import once
from arcid.errors import UsageError
from arcid.geometry import box_iou
from arcid.models.votes import Rule, needed
from arcid.types import Detections, FloatArray, Image

SAME_FACE = 0.4  # IoU; where detectors of their own take two boxes for one face


class VotingDetector:
    """(H,W,3) uint8 RGB in; faces that enough of the members see, best score first, out.

    ``rule``: ``any`` one, the ``majority`` (more than half), or ``all``. ``iou``: from which two
    boxes are one face. Points are the mean of those members that give any, weighed by score; where
    one does, a face seen only by others does not count, since nothing could align it. Scores of
    different families mean different things and are weighed as they are. Raises ``UsageError``.
    """

    def __init__(
        self,
        members: Sequence[Detector],
        *,
        rule: Rule = "majority",
        iou: float = SAME_FACE,
        name: str | None = None,
    ) -> None:
        if len(members) < 2:
            raise UsageError("detectors vote from two on")
        self.members, self.rule = tuple(members), rule
        self.needed = needed(rule, len(members))
        self.iou = check_share("iou", iou)
        self.name = name or "+".join(map(name_of, members))
        self.has_points = any(getattr(member, "has_points", True) for member in members)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Each member with its own second try. Raises ``InvalidArray``."""
        checked = check_images(images)
        return self.joined([member.detect(checked) for member in self.members])

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the members' second tries."""
        checked = check_images(images)
        return self.joined([once(member)(checked) for member in self.members])

    def joined(self, found: Sequence[list[Detections]]) -> list[Detections]:
        """What each member finds in the same pictures in; what counts, a picture each, out."""
        return [self._faces(one) for one in zip(*found, strict=True)]

    def _faces(self, found: Sequence[Detections]) -> Detections:
        """What every member finds in one picture in; the faces that count out."""
        groups = [group for group in groups_of(found, self.iou) if len(group) >= self.needed]
        faces = [self._face(found, group) for group in groups]
        if self.has_points:
            faces = [face for face in faces if face[2] is not None]
        faces.sort(key=lambda face: -face[1])
        points = np.zeros((len(faces), 5, 2), np.float32) if self.has_points else None
        if points is not None and faces:
            points = np.stack([face[2] for face in faces if face[2] is not None])
        return Detections(
            np.array([face[0] for face in faces], np.float32).reshape(-1, 4),
            np.array([face[1] for face in faces], np.float32),
            points,
            found[0].image_size,
        )

    @staticmethod
    def _face(
        found: Sequence[Detections], group: dict[int, int]
    ) -> tuple[FloatArray, float, FloatArray | None]:
        """Box, score and points of one face, by its {member: row}."""
        seen = [found[member][[row]] for member, row in group.items()]
        boxes = np.concatenate([one.boxes for one in seen])
        scores = np.concatenate([one.scores for one in seen])
        marked = [one for one in seen if one.points is not None]
        points = None
        if marked:
            points = weighed(
                np.concatenate([one.points for one in marked if one.points is not None]),
                np.concatenate([one.scores for one in marked]),
            )
        return weighed(boxes, scores), float(scores.mean()), points


def groups_of(found: Sequence[Detections], iou: float) -> list[dict[int, int]]:
    """What several members find in one picture in; a {member: row} for every face out."""
    listed = [(m, row) for m, one in enumerate(found) for row in range(len(one))]
    listed.sort(key=lambda at: -float(found[at[0]].scores[at[1]]))
    groups: list[dict[int, int]] = []
    boxes = np.zeros((len(listed), 4), np.float32)  # of each group
    for member, row in listed:
        free = [i for i, group in enumerate(groups) if member not in group]
        overlap = box_iou(found[member].boxes[[row]], boxes[free])[0]
        at = len(groups)
        if len(free) and overlap.max() > iou:
            at = free[int(overlap.argmax())]
        else:
            groups.append({})
        groups[at][member] = row
        own = [(found[m].boxes[r], found[m].scores[r]) for m, r in groups[at].items()]
        boxes[at] = weighed(np.stack([box for box, _ in own]), np.array([s for _, s in own]))
    return groups


def weighed(values: npt.NDArray[np.float32], scores: FloatArray) -> FloatArray:
    """(K,...) values of K members in; their mean, weighed by (K,) scores, out."""
    return np.asarray(np.average(values, axis=0, weights=np.maximum(scores, 1e-6)), np.float32)


__all__ = ["VotingDetector"]
