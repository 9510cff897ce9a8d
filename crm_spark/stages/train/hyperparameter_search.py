"""A small search for better settings under a budget: settings drawn at random, judged on the validation split alone.

Random draws find as good settings as a grid with a fraction of its trials (Bergstra and Bengio 2012). The test split is not
looked at: a trial that was chosen for what it says of the test split would say nothing of texts to come.
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


def settings_to_try(cfg: TrainConfig, *, seed: int) -> list[dict[str, Any]]:
    """What each trial changes: first nothing, then different draws from `train.search_space`."""
    names = sorted(cfg.search_space)
    every = [dict(zip(names, values)) for values in itertools.product(*(cfg.search_space[name] for name in names))]
    own = {name: getattr(cfg, name) for name in names}
    others = [changes for changes in every if changes != own]
    drawn = random.Random(seed).sample(others, min(len(others), max(0, cfg.search_trials - 1)))
    return [{}, *drawn]


def best_config(
    cfg: TrainConfig, out: Path, run_trial: Callable[[TrainConfig, Path, int], None], *, seed: int
) -> TrainConfig:
    """The settings with the least cross-entropy on the validation split; those given where nothing beats them.

    A trial that is done stays done: a search that was killed goes on with the next. No trial begins once the budget is
    used up, and one that is running then is ended.

    Args:
        cfg: the settings to begin with, and the budget.
        out: a folder; each trial has one of its own in it.
        run_trial: trains with settings into a folder within so many seconds, and leaves `result.json` there.
        seed: of the draws.
    """
    ends, best, least = time.monotonic() + cfg.search_seconds, cfg, float("inf")
    for number, changes in enumerate(settings_to_try(cfg, seed=seed)):
        trial, folder = TrainConfig.model_validate({**cfg.model_dump(), **changes}), out / f"trial-{number}"
        left = int(ends - time.monotonic())
        if not (folder / RESULT).exists():
            if left <= 0:
                break
            folder.mkdir(parents=True, exist_ok=True)
            run_trial(trial, folder, left)
        if not (folder / RESULT).exists():
            break  # the time was up
        bits = json.loads((folder / RESULT).read_text())["validation_bits"]
        if bits < least:
            best, least = trial, bits
    return best
