"""How far a training is: what it has learned so far, what a checkpoint holds of it, what a person sees."""

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
    """What happened in a training; the same on all ranks.

    Attributes:
        losses: cross-entropy in bits of each step's examples, before the step.
        validation: cross-entropy in bits on the validation split after each epoch, at its best temperature.
        num_tokens: tokens that were learned from, padding not counted.
        rates: real tokens a second over all ranks, of each twenty steps of this run.
        seconds: of the loop, without what happened before a resumption.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    num_tokens: int = 0
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """The epoch with the least cross-entropy on the validation split, from 0."""
        return int(np.argmin(self.validation))

    def is_over(self, cfg: TrainConfig) -> bool:
        """All epochs are done, or none of the last ones was better than the best before them."""
        done = len(self.validation)
        return done >= cfg.num_epochs or (done > 0 and done - 1 - self.best_epoch >= cfg.patience)


class Meter:
    """Losses stay on the device until they are shown: asking for one number makes a GPU wait."""

    def __init__(self, history: History, *, total: int, out: Path | None):
        self.history, self.tokens = history, 0
        self.waiting: list[Tensor] = []
        self.bar, self.started = ProgressBar("train", total), time.monotonic()
        self.board = _board(out / "tensorboard") if out else None

    def add(self, summed: Tensor, total: Tensor, *, num_tokens: int) -> None:
        """A step: this rank's summed loss in nats, all ranks' weight of its examples, this rank's tokens."""
        self.waiting.append(torch.stack([summed, total]))
        self.tokens += num_tokens
        if len(self.waiting) == _REPORT_STEPS:
            self.flush()

    def flush(self) -> None:
        """Adds what is waiting to the history, the same on all ranks."""
        if not self.waiting:
            return
        device = self.waiting[0].device
        sums = torch.stack(self.waiting).double()  # (steps, 2)
        tokens = torch.tensor([float(self.tokens)], dtype=torch.float64, device=device)
        totals = sums[:, 1].clone()
        reduced = torch.cat([sums[:, 0], tokens])
        dist.all_reduce(reduced)
        bits = (reduced[:-1] / totals.clamp(min=1) / np.log(2)).tolist()
        first = len(self.history.losses)
        self.history.losses += bits
        self.history.num_tokens += int(reduced[-1])
        self.waiting, self.tokens = [], 0
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
    """Peak memory of this process on its device."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    import resource

    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"


class Run:
    """What a training is made of: all that a checkpoint holds."""

    def __init__(
        self, model: TextClassifier, optimiser: Any, schedule: Any, out: Path, *, decay: float, is_writer: bool
    ):
        self.mean, self.decay = AveragedModel(model, multi_avg_fn=self._pull) if decay else None, decay
        self.parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
        self.model, self.folder, self.is_writer = model, out / "checkpoints", is_writer
        if self.mean is not None:
            self.parts["mean"] = self.mean
        self.history = History()
        self.best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Goes on from the newest checkpoint that is whole, if there is one of such a training."""
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
    def averaged(self) -> TextClassifier:
        """What is judged and kept: the running mean of the weights, or the model itself."""
        module = self.model if self.mean is None else self.mean.module
        assert isinstance(module, TextClassifier)
        return module

    def average(self) -> None:
        """Takes the weights after a step into their running mean."""
        if self.mean is not None:
            self.mean.update_parameters(self.model)

    def _pull(self, former: Any, weights: Any, _: Any) -> None:
        """Exponential decay that looks back a third of the steps at first: a short training is not held at its beginning."""
        # The number of steps stays in main memory: to ask a GPU for it would make it wait.
        steps = int(self.mean.n_averaged) if self.mean is not None else 0
        torch._foreach_lerp_(former, weights, 1 - min(self.decay, (1 + steps) / (4 + steps)))

    def save(self) -> None:
        """Leaves a checkpoint; one rank does."""
        if self.is_writer:
            state = {name: part.state_dict() for name, part in self.parts.items()}
            history = {
                "losses": self.history.losses,
                "validation": self.history.validation,
                "num_tokens": self.history.num_tokens,
            }
            checkpoint.save({**state, **history, "best": self.best}, self.folder, step=len(self.history.losses))

    def judge(self, bits: float) -> None:
        """Ends an epoch with what the validation split says of it."""
        self.history.validation.append(bits)
        if self.history.best_epoch == len(self.history.validation) - 1:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}
        self.save()

    def restore_best(self) -> None:
        """The model as it was after its best epoch."""
        self.model.load_state_dict(self.best)
