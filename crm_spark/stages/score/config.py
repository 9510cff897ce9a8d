"""Settings of the score stage."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ScoreConfig(Config):
    """Settings of the score stage."""

    engine: Literal["auto", "onnx", "openvino", "torch"] = "auto"
    """Inference engine. auto: PyTorch on a GPU; on a CPU ONNX Runtime or OpenVINO, whichever is faster in a benchmark run."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU or where the benchmark run shows it to be faster, else fp32. bf16 changes probabilities in the
    third decimal place."""
    trial_texts: Annotated[int, Field(ge=1)] = 5_000
    """Number of texts from which the available engines are benchmarked first, which takes a few seconds."""
    is_int8_allowed: bool = False
    """Allow int8 weights: 1.6 to 2.8 times as fast on a CPU. A model has them only if their labels agree with fp32 on at
    least 99% of the validation texts."""
    max_tokens: Annotated[int, Field(ge=512)] | None = None
    """Padded tokens per batch. null: 768 with ONNX Runtime, 1,024 with OpenVINO, 4,096 with PyTorch on a CPU, 131,072 on
    a GPU."""
    window_rows: Annotated[int, Field(ge=1)] = 2048
    """Number of texts that are sorted by length together before batching."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads per Python worker; workers x threads should not exceed the number of cores."""
    num_partitions: Annotated[int, Field(ge=1)] | None = None
    """Spark partitions of the texts; null: one per core."""
    rescore_texts: Annotated[int, Field(ge=0)] | None = None
    """After a new model is promoted: number of already scored texts that each refresh scores again, newest first. The
    other texts keep the predictions of the previous model. null: score all texts again at once. New texts are always scored."""
    core_hour_price: Annotated[float, Field(ge=0)] | None = None
    """Price of one core hour in the reporting currency, for the cost per million texts in the log; null: no cost."""
    annotation_candidates: Annotated[int, Field(ge=0)] = 100
    """Number of unrated texts with the most uncertain predictions to list for manual labelling; 0: none."""
    aspects: str | None = None
    """YAML file with the words of each aspect (topic); null: no aspects are extracted."""
    stop_words: str | None = None
    """YAML file with the stop words of each language, which are left out of scores.driving_word; null: no word is left out."""
    explain_texts_per_segment: Annotated[int, Field(ge=0)] = 50
    """Number of sampled texts per segment for which word attributions are computed; 0: none. The attributions of a text
    take as long as scoring about 60 texts."""
    min_customers_per_cell: Annotated[int, Field(ge=1)] = 5
    """Smallest number of customers of a segment who used a word for it to be stored."""
