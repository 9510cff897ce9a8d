"""What may vary in train."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class TrainConfig(Config):
    """Settings of the train stage."""

    num_ranks: Annotated[int, Field(ge=1)] = 2
    """Processes on this machine that train together."""
    reader: Literal["petastorm", "direct"] = "petastorm"
    num_epochs: Annotated[int, Field(ge=1, le=50)] = 1
    max_examples: Annotated[int, Field(ge=64)] | None = None
    """Examples seen in an epoch at most, over all ranks; null: all."""
    batch_rows: Annotated[int, Field(ge=1)] = 16
    """Rows of a micro-batch on one rank."""
    window_rows: Annotated[int, Field(ge=1)] = 1024
    """Rows among which those of like length are put together."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 6e-5
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """The head starts from nothing and may learn faster."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    max_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients longer than this are shortened to it."""
    class_weights: bool = False
    """Weight rare verdicts more: better macro-F1, worse calibration."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor has it, else fp32."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 100
    timeout_seconds: Annotated[int, Field(ge=10)] = 120
    """A rank that says nothing for so long is taken for dead."""
    max_seconds: Annotated[int, Field(ge=30)] = 6 * 3600
    """The whole training is ended after this."""
