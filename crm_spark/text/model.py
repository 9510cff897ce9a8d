"""A BERT encoder with a classification head. It knows no cluster, no rank, no file layout but a bundle's."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from crm_spark.text.bundle import ENCODER_CONFIG, WEIGHTS, Bundle
from crm_spark.text.labels import LABELS


class TextClassifier(nn.Module):
    """Logits of the verdicts from token ids."""

    def __init__(self, encoder: PreTrainedModel, hidden_size: int, *, dropout: float = 0.1):
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, len(LABELS))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits; tokens and mask (B, T), result (B, K)."""
        states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state  # (B, T, H)
        weights = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)  # (B, H)
        return self.head(self.dropout(mean))


def pretrained(folder: Path) -> TextClassifier:
    """The encoder in a folder with a fresh head."""
    encoder = AutoModel.from_pretrained(str(folder), add_pooling_layer=False, local_files_only=True)
    return TextClassifier(encoder, encoder.config.hidden_size)


def save_model(model: TextClassifier, folder: Path) -> None:
    """Writes the weights and the encoder's configuration."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(folder / WEIGHTS))
    (folder / ENCODER_CONFIG).write_text(
        json.dumps(model.encoder.config.to_dict(), indent=1, sort_keys=True, default=str)
    )


def load_model(bundle: Bundle) -> TextClassifier:
    """The model of a verified bundle, ready to infer."""
    config = AutoConfig.from_pretrained(str(bundle.folder), local_files_only=True)
    encoder = AutoModel.from_config(config, add_pooling_layer=False)
    model = TextClassifier(encoder, config.hidden_size)
    model.load_state_dict(load_file(str(bundle.folder / WEIGHTS)))
    return model.eval()


def uses_bf16(precision: str) -> bool:
    """Whether `bf16`, `fp32` or `auto` means bf16 here; auto: where the hardware multiplies it."""
    return precision == "bf16" or (precision == "auto" and has_fast_bf16())


def has_fast_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware; without, bf16 is many times slower than fp32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
