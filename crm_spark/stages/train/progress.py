"""Loss history, progress reports (progress bar, TensorBoard) and checkpointed state of a training run."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from crm_spark.core.log import ProgressBar, get_logger
from crm_spark.stages.train import checkpoint
from crm_spark.stages.train.config import TrainConfig
from crm_spark.text.model import TextClassifier

_REPORT_STEPS = 20


@dataclass
class History:
    """Losses and throughput of a training run; the same on all ranks.

    Attributes:
        losses: training loss of each step in bits.
        validation_losses: validation cross-entropy after each epoch in bits, at the best temperature.
        num_tokens: number of training tokens without padding.
        rates: tokens per second over all ranks, one value per 20 steps since the last resumption.
        seconds: duration of the training loop since the last resumption.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    num_tokens: int = 0
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """Epoch with the lowest validation loss, from 0."""
        return int(np.argmin(self.validation_losses))

    def is_finished(self, cfg: TrainConfig) -> bool:
        """Return whether all epochs are done or early stopping has run out of patience."""
        num_epochs = len(self.validation_losses)
        return num_epochs >= cfg.num_epochs or (num_epochs > 0 and num_epochs - 1 - self.best_epoch >= cfg.patience)


class Meter:
    """Collect losses on the device and report them every 20 steps.

    Fetching the loss of every step would stall a GPU.
    """

    def __init__(self, history: History, *, total: int, out: Path | None):
        self.history, self.tokens = history, 0
        self.pending: list[Tensor] = []
        self.bar, self.started = ProgressBar("train", total), time.monotonic()
        self.board = _board(out / "tensorboard") if out else None

    def add(self, loss_sum: Tensor, weight_sum: Tensor, *, num_tokens: int) -> None:
        """Add a step.

        Args:
            loss_sum: summed loss of this rank in nats.
            weight_sum: summed example weight of all ranks.
            num_tokens: number of tokens of this rank.
        """
        self.pending.append(torch.stack([loss_sum, weight_sum]))
        self.tokens += num_tokens
        if len(self.pending) == _REPORT_STEPS:
            self.flush()

    def flush(self) -> None:
        """Reduce the pending steps over all ranks and add them to the history."""
        if not self.pending:
            return
        device = self.pending[0].device
        sums = torch.stack(self.pending).double()  # (steps, 2)
        tokens = torch.tensor([float(self.tokens)], dtype=torch.float64, device=device)
        weights = sums[:, 1].clone()
        reduced = torch.cat([sums[:, 0], tokens])
        dist.all_reduce(reduced)
        bits = (reduced[:-1] / weights.clamp(min=1) / np.log(2)).tolist()
        first = len(self.history.losses)
        self.history.losses += bits
        self.history.num_tokens += int(reduced[-1])
        self.pending, self.tokens = [], 0
        rate = float(reduced[-1]) / max(time.monotonic() - self.started, 1e-9)
        self.history.rates.append(rate)
        if self.board is not None:
            for number, value in enumerate(bits, start=first):
                self.board.add_scalar("train/bits", value, number)
            self.board.add_scalar("train/tokens_per_second", rate, first + len(bits))
            self.bar.update(first + len(bits), f"{np.mean(bits):.3f} bits  {rate:,.0f} tokens/s  {_memory(device)}")
        self.started = time.monotonic()


def _board(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _memory(device: torch.device) -> str:
    """Return the peak memory of this process on its device."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    import resource

    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"


class TrainingState:
    """State of a training run that checkpoints store: weights, their average, optimiser, schedule and history."""

    def __init__(
        self, model: TextClassifier, optimiser: Any, schedule: Any, out: Path, *, decay: float, is_writer: bool
    ):
        self.mean, self.decay = AveragedModel(model, multi_avg_fn=self._update_mean) if decay else None, decay
        self.parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
        self.model, self.folder, self.is_writer = model, out / "checkpoints", is_writer
        if self.mean is not None:
            self.parts["mean"] = self.mean
        self.history = History()
        self.best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Load the newest valid checkpoint, if it contains every part of this state."""
        state = checkpoint.newest_valid(self.folder)
        if state is None or not {*self.parts, "best"} <= state.keys():
            return
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.best = state["best"]
        self.history = History(state["losses"], state["validation"], state["num_tokens"])
        if self.is_writer:
            get_logger().info("train: resumed after %d steps", len(self.history.losses))

    @property
    def averaged_model(self) -> TextClassifier:
        """Model with averaged weights; without averaging, the trained model."""
        module = self.model if self.mean is None else self.mean.module
        assert isinstance(module, TextClassifier)
        return module

    def update_average(self) -> None:
        """Update the moving average of the weights after a step."""
        if self.mean is not None:
            self.mean.update_parameters(self.model)

    def _update_mean(self, averages: Any, weights: Any, _: Any) -> None:
        """Update the exponential moving average in place."""
        if not averages[0].is_floating_point():
            return  # levels of frozen word embeddings
        # The decay grows during the first steps; otherwise the initial weights would dominate short runs.
        # n_averaged is in main memory, so that reading it does not stall a GPU.
        steps = int(self.mean.n_averaged) if self.mean is not None else 0
        torch._foreach_lerp_(averages, weights, 1 - min(self.decay, (1 + steps) / (4 + steps)))

    def save(self) -> None:
        """Write a checkpoint on the writing rank."""
        if self.is_writer:
            state = {name: part.state_dict() for name, part in self.parts.items()}
            history = {
                "losses": self.history.losses,
                "validation": self.history.validation_losses,
                "num_tokens": self.history.num_tokens,
            }
            checkpoint.save({**state, **history, "best": self.best}, self.folder, step=len(self.history.losses))

    def end_epoch(self, bits: float) -> None:
        """Record the validation loss of an epoch, keep its weights if it is the best so far, and save a checkpoint."""
        self.history.validation_losses.append(bits)
        if self.history.best_epoch == len(self.history.validation_losses) - 1:
            self.best = {
                name: tensor.detach().cpu().clone() for name, tensor in self.averaged_model.state_dict().items()
            }
        self.save()

    def restore_best(self) -> None:
        """Restore the weights of the best epoch."""
        self.model.load_state_dict(self.best)
