"""The photos of the last steps, as student and teacher see them: whom a face is near.

With a, t_a the student's and the teachers' unit vectors of a photo and M the photos remembered,
together with the rest of the batch, the term ``neighbours`` is the mean over photos of

    Σ_m p_m log(p_m / q_m)    p = softmax over m of cos(t_a, t_m) / τ,  q the same of cos(a, m) / τ

(Fang et al., SEED: Self-supervised Distillation, ICLR 2021, sec. 3.2; the memory is that of
Wang et al., Cross-Batch Memory, CVPR 2020). A small τ counts the nearest alone: photos of the same
person, and who resembles them. A batch of 64 holds hardly any of either.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Neighbours(nn.Module):
    """The last ``photos`` photos: (M,own) of the student, (M,said) of the teachers, unit norm.

    Starts empty and is stored with the run. Other views of a photo are no neighbours of it.
    """

    own: Tensor
    said: Tensor
    photo: Tensor

    def __init__(self, photos: int, own: int, said: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("own", torch.zeros(photos, own))
        self.register_buffer("said", torch.zeros(photos, said))
        self.register_buffer("photo", torch.full((photos,), -1))  # -1: none yet

    def forward(self, own: Tensor, said: Tensor, photo: Tensor) -> Tensor:
        """The term, () float32, for a batch of unit vectors; then remembers the batch."""
        others = torch.cat([photo, self.photo])
        none = (photo[:, None] == others) | (others < 0)
        with torch.autocast(own.device.type, enabled=False):
            q = self._shares(own.float(), self.own, none)
            p = self._shares(said.float(), self.said, none)
        self._remember(own.detach(), said, photo)
        return F.kl_div(q, p, log_target=True, reduction="batchmean")

    def _shares(self, vectors: Tensor, remembered: Tensor, none: Tensor) -> Tensor:
        """(B,B+M) log softmax over all but ``none``, whose share is 0."""
        cosines = vectors @ torch.cat([vectors, remembered]).T
        return F.log_softmax((cosines / self.temperature).masked_fill(none, -1e4), dim=1)

    def _remember(self, own: Tensor, said: Tensor, photo: Tensor) -> None:
        """The newest stand first; what does not fit any more is forgotten."""
        for kept, new in ((self.own, own), (self.said, said), (self.photo, photo)):
            kept.copy_(torch.cat([new.to(kept.dtype), kept])[: len(kept)])


__all__ = ["Neighbours"]
