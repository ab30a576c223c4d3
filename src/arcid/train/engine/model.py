"""Everything that learns in a run, one update of it, and how it is stored and brought back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from arcid.errors import TrainingDiverged
from arcid.files import replacing
from arcid.train.backbones import to_channels_last
from arcid.train.config.recipe import RunConfig
from arcid.train.engine.optimise import (
    centre_optimizer,
    clip_rows,
    hold,
    moving_average,
    network_optimizer,
    reshard_moments,
)
from arcid.train.heads.classifier import reshard_state
from arcid.train.objectives.objective import Objective
from arcid.train.ranks import Ranks
from arcid.train.weights.checkpoint import (
    Checkpoint,
    random_state,
    restore_random_state,
    seed_generators,
)

_EXCHANGE = {
    "fp16": default_hooks.fp16_compress_hook,
    "bf16": default_hooks.bf16_compress_hook,
}
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Model:
    """The network all ranks share, this rank's class centres, and their optimisers.

    ``backbone``  what is exported in the end
    ``network``   that with what the objective needs around it
    ``averaged``  a copy that follows slowly, ``optim.ema``; None without
    ``rate``      the learning rate as it stands
    """

    def __init__(
        self,
        config: RunConfig,
        backbone: nn.Module,
        objective: Objective[Any, Any],
        ranks: Ranks,
    ) -> None:
        self.config, self.ranks, self.objective = config, ranks, objective
        on_gpu = ranks.device.type == "cuda"
        if on_gpu:
            torch.backends.cudnn.benchmark = True  # all batches have one shape
            torch.set_float32_matmul_precision("high" if config.precision.tf32 else "highest")
        self.backbone = backbone
        self.network = objective.network(backbone.to(ranks.device)).to(ranks.device)
        self._held = hold(backbone, config.optim.only)
        if config.precision.channels_last:
            to_channels_last(self.network)
        self.averaged: AveragedModel | None = None
        if config.optim.ema:
            self.averaged = AveragedModel(
                self.network, multi_avg_fn=moving_average(config.optim.ema), use_buffers=True
            )
        self._wrapped: nn.Module = self.network
        if ranks.world > 1:
            devices = [ranks.device] if ranks.device.type == "cuda" else None
            wrapped = DistributedDataParallel(self.network, device_ids=devices)
            if (hook := _EXCHANGE.get(config.precision.exchange)) is not None:
                wrapped.register_comm_hook(None, hook)
            self._wrapped = wrapped
        self._trained = self._wrapped
        if config.precision.compile:
            mode = "reduce-overhead" if config.precision.graphs else None
            self._trained = cast(nn.Module, torch.compile(self._wrapped, mode=mode))
        self._optimizers: list[torch.optim.Optimizer] = [
            network_optimizer(config.optim, self.network, parity=objective.parity, fused=on_gpu)
        ]
        if objective.centres is not None:
            self._optimizers.append(
                centre_optimizer(config.optim, objective.centres, parity=objective.parity)
            )
        self._scaler = _loss_scaler(config.precision.autocast == "fp16", ranks)
        self.rate = 0.0
        # weights were drawn alike on all ranks; from here on each draws its own
        seed_generators(self._seed(0))

    def set_rate(self, factor: float) -> None:
        """The learning rate of the next steps, as a factor of ``optim.lr``."""
        self.rate = factor * self.config.optim.lr
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate

    def step(self, batch: Any, step: int, run: Path) -> dict[str, float]:
        """One update; numbers to show. Raises ``TrainingDiverged`` before a weight has changed."""
        parts = self.config.optim.accumulate
        self._training_mode()
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(self.objective.parts(batch), 1):
            with self._synchronised(number == parts):
                with self._autocast():
                    result = self.objective.step(self._trained, part)
                backward(self._scaler.scale(result.loss / parts))
            for name, value in {"loss": result.loss, **result.facts}.items():
                share = value.detach().float() / parts
                sums[name] = sums[name] + share if name in sums else share
        sums |= self._clip()
        # the one place where a GPU is waited for
        facts = dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))
        self._refuse_nan(facts, batch, step, run)
        for optimizer in self._optimizers:
            self._scaler.step(optimizer)
        self._scaler.update()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        return facts

    def best(self) -> nn.Module:
        """The network to measure: the averaged weights where there are any."""
        network = self.network if self.averaged is None else self.averaged.module
        return network if self.network is self.backbone else cast(nn.Module, network.backbone)

    def begin(self) -> None:
        """Called once, before the first step of a new run, with the weights it starts from."""
        self.objective.begin(self.network)
        if self.averaged is not None:
            self.averaged.module.load_state_dict(self.network.state_dict())

    def shared_state(self) -> dict[str, Any]:
        """What all ranks have alike."""
        state: dict[str, Any] = {
            "backbone": self.backbone.state_dict(),
            "network": _beside(self.network, self.backbone),
            "optimizer": self._optimizers[0].state_dict(),
            "scaler": self._scaler.state_dict(),
        }
        if self.averaged is not None:
            state["averaged"] = self.best().state_dict()
            state["averaged_network"] = _beside(self.averaged.module, self.best())
            state["averages"] = self.averaged.n_averaged
        return state

    def own_state(self) -> dict[str, Any]:
        """What this rank alone has."""
        state: dict[str, Any] = {"random": random_state()}
        if self.objective.centres is not None:
            state["classifier"] = self.objective.centres.state_dict()
            state["classifier_optimizer"] = self._optimizers[1].state_dict()
        if self.objective.memory is not None:
            state["memory"] = self.objective.memory.state_dict()
        return state

    def load(self, checkpoint: Checkpoint[RunConfig]) -> None:
        """Go on from ``checkpoint``, which another number of ranks may have written."""
        device = str(self.ranks.device)
        shared = checkpoint.shared(device)
        self.backbone.load_state_dict(shared["backbone"])
        self.network.load_state_dict(shared["network"], strict=False)
        self._optimizers[0].load_state_dict(shared["optimizer"])
        if shared["scaler"]:  # empty where the run did not scale its loss until now
            self._scaler.load_state_dict(shared["scaler"])
        if self.averaged is not None:
            self.best().load_state_dict(shared["averaged"])
            self.averaged.module.load_state_dict(shared["averaged_network"], strict=False)
            self.averaged.n_averaged.copy_(shared["averages"])
        if checkpoint.world == self.ranks.world:
            own = checkpoint.rank(self.ranks.rank, device)
            self._load_centres(own)
            if self.objective.memory is not None:
                self.objective.memory.load_state_dict(own["memory"])
            restore_random_state(own["random"])
            return
        if self.objective.centres is not None:
            self._load_centres(_resharded(checkpoint.ranks(), self.ranks))
        seed_generators(self._seed(checkpoint.step))

    def _load_centres(self, own: Mapping[str, Any]) -> None:
        if self.objective.centres is not None:
            self.objective.centres.load_state_dict(own["classifier"])
            self._optimizers[1].load_state_dict(own["classifier_optimizer"])

    def _seed(self, step: int) -> int:
        return (self.config.seed * 1_000_003 + step) * 65_537 + self.ranks.rank

    def _training_mode(self) -> None:
        self._trained.train()
        if self.objective.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        for module in self._held:
            module.eval()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        kind = _AUTOCAST.get(self.config.precision.autocast)
        if kind is None:
            return contextlib.nullcontext()
        return torch.autocast(self.ranks.device.type, dtype=kind)

    def _synchronised(self, wanted: bool) -> contextlib.AbstractContextManager[None]:
        """Ranks exchange gradients in the last pass of a step only."""
        if wanted or not isinstance(self._wrapped, DistributedDataParallel):
            return contextlib.nullcontext()
        quiet: contextlib.AbstractContextManager[None] = self._wrapped.no_sync()
        return quiet

    def _clip(self) -> dict[str, Tensor]:
        """Limit the gradients' norms, the network's and the centres' each (``parity``: the
        network's alone); the norms before."""
        limit = self.config.optim.clip
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        learnt = [p for p in self.network.parameters() if p.grad is not None]
        norms = {"gradient": torch.nn.utils.clip_grad_norm_(learnt, limit or math.inf)}
        if limit and self.objective.centres is not None and not self.objective.parity:
            norms["centre_gradient"] = clip_rows(self.objective.centres.weight, limit, self.ranks)
        return norms

    def _refuse_nan(self, facts: Mapping[str, float], batch: Any, step: int, run: Path) -> None:
        # under fp16 an infinite gradient is ordinary: the scaler skips the step and scales less
        watched = ["loss"] if self._scaler.is_enabled() else ["loss", "gradient", "centre_gradient"]
        broken = [name for name in watched if not math.isfinite(facts.get(name, 0.0))]
        if not broken:
            return
        folder = run / "diverged"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"step-{step:08d}-rank-{self.ranks.rank}.pt"
        with replacing(path, private=True) as file:
            torch.save({**self.objective.kept(batch), "step": step}, file)
        raise TrainingDiverged(
            f"step {step}: the {broken[0].replace('_', ' ')} is not a number any more. Checkpoints "
            f"stored before are whole; the batch is kept in {folder.name}/{path.name} (photographs "
            "of people: delete it when done). Lower optim.lr, lengthen schedule.warmup, or use "
            "precision.autocast=bf16 or fp32",
            step=step,
        )


def backward(loss: Tensor) -> None:
    """``loss.backward()``, which torch leaves untyped."""
    cast(Any, loss).backward()


def _loss_scaler(wanted: bool, ranks: Ranks) -> torch.amp.GradScaler:
    """``wanted`` under fp16; an overflow of one rank's centres is every rank's, so that all scale
    alike."""
    if wanted and ranks.world > 1:
        from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

        return ShardedGradScaler(ranks.device.type)
    return torch.amp.GradScaler(ranks.device.type, enabled=wanted)


def _resharded(parts: list[dict[str, Any]], ranks: Ranks) -> dict[str, Any]:
    place = ranks.rank, ranks.world
    return {
        "classifier": reshard_state([p["classifier"] for p in parts], *place),
        "classifier_optimizer": reshard_moments([p["classifier_optimizer"] for p in parts], *place),
    }


def _beside(network: nn.Module, backbone: nn.Module) -> dict[str, Tensor]:
    """What a network has around its backbone."""
    if network is backbone:
        return {}
    state = network.state_dict()
    return {name: value for name, value in state.items() if not name.startswith("backbone.")}


__all__ = ["Model", "backward"]
