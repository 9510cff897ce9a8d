"""What may vary in score."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ScoreConfig(Config):
    """Settings of the score stage."""

    engine: Literal["auto", "onnx", "openvino", "torch"] = "auto"
    """auto: PyTorch on a GPU; on a processor ONNX Runtime or OpenVINO, for many texts the faster one in a trial."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU and where it is faster in the trial, else fp32; probabilities then differ in the third decimal."""
    trial_texts: Annotated[int, Field(ge=1)] = 5_000
    """From so many texts on the engines that may read are tried against each other first: a few seconds."""
    is_int8_allowed: bool = False
    """Eight-bit weights: 1.6 to 2.8 times as fast on a processor. A model has them only if they gave the verdicts of
    fp32 to at least 99 in 100 texts of the validation side."""
    max_tokens: Annotated[int, Field(ge=512)] | None = None
    """Padded tokens in a batch; null: 768 with ONNX Runtime and 512 with OpenVINO (what fits a core's cache),
    4,096 with PyTorch, 131,072 on a GPU."""
    window_rows: Annotated[int, Field(ge=1)] = 2048
    """Texts among which those of like length are put together."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of each Python worker; workers times threads should not exceed the cores."""
    num_partitions: Annotated[int, Field(ge=1)] = 2
    """Tasks the texts are spread over."""
    rescore_texts: Annotated[int, Field(ge=0)] | None = None
    """After a new model took over: so many of the texts that the one before has read are read anew in a refresh, the newest
    first; until all are, the older reading of the others counts. Null: all at once. New texts are always read."""
    core_hour_price: Annotated[float, Field(ge=0)] | None = None
    """What an hour of one core costs, in the company's currency; then the cost of a million texts is said."""
    annotation_candidates: Annotated[int, Field(ge=0)] = 100
    """Texts that nobody rated and the model is least sure of, listed for a person to label; 0: none."""
    aspects: str | None = None
    """YAML of what customers talk about, by words; null: texts are not searched for aspects."""
    explain_texts_per_segment: Annotated[int, Field(ge=0)] = 50
    """Texts of each segment, drawn by hash, whose words are told apart by what they add to the verdict; 0: none. A text
    takes as long as reading some 60."""
    min_customers_per_cell: Annotated[int, Field(ge=1)] = 5
    """A word that fewer customers of a segment wrote is not kept."""
