"""What may vary in score."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ScoreConfig(Config):
    """Settings of the score stage."""

    engine: Literal["auto", "onnx", "torch"] = "auto"
    """auto: PyTorch on a GPU or where the processor multiplies bf16, else ONNX Runtime."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware multiplies it, else fp32; probabilities then differ in the third decimal."""
    is_int8_allowed: bool = False
    """Eight-bit weights: about 1.6 times as fast on a processor. A bundle has them only if they gave the verdicts of
    fp32 to at least 99 in 100 texts of the validation side."""
    max_tokens: Annotated[int, Field(ge=512)] | None = None
    """Padded tokens in a batch; null: 768 with ONNX Runtime (what fits a core's cache), 4,096 with PyTorch, 131,072 on a GPU."""
    window_rows: Annotated[int, Field(ge=1)] = 2048
    """Texts among which those of like length are put together."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of each Python worker; workers times threads should not exceed the cores."""
    num_partitions: Annotated[int, Field(ge=1)] = 2
    """Tasks the texts are spread over."""
