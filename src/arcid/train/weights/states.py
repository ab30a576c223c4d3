"""Putting stored tensors into a network: every name and shape fits, or it is refused and named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from arcid.errors import CheckpointMismatch

_COUNTER = "num_batches_tracked"  # read by no BN with a fixed momentum; old and ONNX files lack it
_SHOWN = 5


def load_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    remedy: str = "name the backbone, dim and size it was trained with",
) -> None:
    """Copy ``state`` into ``module`` in its own types; nothing is copied unless all fits.

    Only the step counters of batch norms may be missing; they start at 0. Raises
    ``CheckpointMismatch`` naming missing, unexpected and differently shaped entries, and entries
    that hold NaN or infinite numbers.
    """
    wanted = module.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith(_COUNTER)]
    unexpected = [k for k in state if k not in wanted]
    shapes = [
        f"{k} is {_shape(state[k])}, the network has {_shape(wanted[k])}"
        for k in wanted
        if k in state and tuple(state[k].shape) != tuple(wanted[k].shape)
    ]
    faults = [
        *_listed("missing", missing),
        *_listed("unexpected", unexpected),
        *_listed("of another shape", shapes),
    ]
    if faults:
        raise CheckpointMismatch(
            f"{source} does not fit the network: {'; '.join(faults)}; {remedy}",
            missing=missing,
            unexpected=unexpected,
            shapes=shapes,
        )
    broken = [k for k in wanted if k in state and not bool(torch.isfinite(state[k]).all())]
    if broken:
        raise CheckpointMismatch(
            f"{source} holds NaN or infinite numbers in {', '.join(broken[:_SHOWN])}; it was "
            "damaged or its training diverged",
            broken=broken,
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            if name in state:
                tensor.copy_(state[name])
            else:
                tensor.zero_()


def fits(module: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether ``load_state`` would accept every name and shape."""
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith(_COUNTER)}
    return wanted == {k: tuple(v.shape) for k, v in state.items() if not k.endswith(_COUNTER)}


def _listed(kind: str, names: Iterable[str]) -> list[str]:
    found = list(names)
    if not found:
        return []
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return [f"{kind}: {', '.join(found[:_SHOWN])}{more}"]


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


__all__ = ["fits", "load_state"]
