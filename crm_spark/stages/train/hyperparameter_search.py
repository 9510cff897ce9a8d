"""Random hyperparameter search within a time budget (Bergstra and Bengio 2012), evaluated on the validation split.

The test split is not used: selecting on it would make the test metrics too optimistic.
"""

import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crm_spark.stages.train.config import TrainConfig

RESULT = "result.json"


def sample_settings(cfg: TrainConfig, *, seed: int) -> list[dict[str, Any]]:
    """Return the changed settings of each trial: none for the first, then distinct samples from `train.search_space`."""
    names = sorted(cfg.search_space)
    combinations = [
        dict(zip(names, values)) for values in itertools.product(*(cfg.search_space[name] for name in names))
    ]
    own = {name: getattr(cfg, name) for name in names}
    others = [changes for changes in combinations if changes != own]
    sampled = random.Random(seed).sample(others, min(len(others), max(0, cfg.search_trials - 1)))
    return [{}, *sampled]


def best_config(
    cfg: TrainConfig, out: Path, run_trial: Callable[[TrainConfig, Path, int], None], *, seed: int
) -> TrainConfig:
    """Return the settings with the lowest validation cross-entropy.

    Completed trials are kept, so an interrupted search resumes with the next one. When the budget is used up, no trial
    is started and a running one is stopped.

    Args:
        cfg: initial settings and budget.
        out: folder for one sub-folder per trial.
        run_trial: trains with the settings into a folder within the seconds given and writes `result.json`.
        seed: of the sampling.
    """
    ends_at, best, lowest = time.monotonic() + cfg.search_seconds, cfg, float("inf")
    for number, changes in enumerate(sample_settings(cfg, seed=seed)):
        trial, folder = TrainConfig.model_validate({**cfg.model_dump(), **changes}), out / f"trial-{number}"
        remaining = int(ends_at - time.monotonic())
        if not (folder / RESULT).exists():
            if remaining <= 0:
                break
            folder.mkdir(parents=True, exist_ok=True)
            run_trial(trial, folder, remaining)
        if not (folder / RESULT).exists():
            break  # time budget used up
        bits = json.loads((folder / RESULT).read_text())["validation_bits"]
        if bits < lowest:
            best, lowest = trial, bits
    return best
