"""What may vary in score."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ScoreConfig(Config):
    """Settings of the score stage."""

    max_tokens: Annotated[int, Field(ge=512)] = 4096
    """Padded tokens in a batch."""
    window_rows: Annotated[int, Field(ge=1)] = 2048
    """Texts among which those of like length are put together."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of each Python worker; workers times threads should not exceed the cores."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor multiplies it in hardware, else fp32; probabilities then differ in the third decimal."""
    num_partitions: Annotated[int, Field(ge=1)] = 2
    """Tasks the texts are spread over."""
