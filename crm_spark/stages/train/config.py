"""Settings of the train stage."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from crm_spark.core.config import Config

MODEL = "bert"
"""Name of the trained model in metrics."""


class TrainConfig(Config):
    """Settings of the train stage."""

    launcher: Annotated[Literal["torchrun", "spark"], Field(exclude=True)] = "torchrun"
    """Where the ranks run: as local processes (torchrun) or as Spark tasks. A job started by torchrun uses its own ranks.
    The result is the same, and a training can be resumed with another launcher."""
    num_ranks: Annotated[int, Field(ge=1)] = 2
    """Number of ranks; with torchrun at most one per GPU if there are GPUs."""
    reader: Literal["petastorm", "direct"] = "petastorm"
    """Parquet reader: petastorm, or pyarrow directly."""
    num_epochs: Annotated[int, Field(ge=1, le=50)] = 3
    """Maximum number of epochs."""
    patience: Annotated[int, Field(ge=1)] = 1
    """Early stopping: number of epochs without a lower validation cross-entropy."""
    max_examples: Annotated[int, Field(ge=64)] | None = None
    """Maximum number of examples per epoch over all ranks; null: all."""
    batch_rows: Annotated[int, Field(ge=1)] | None = None
    """Global batch size in rows, a multiple of shard.max_world_size. null: 64; for few texts 32 or 16, so that a training
    has at least 200 steps where possible."""
    window_rows: Annotated[int, Field(ge=1)] = 1024
    """Number of rows per reader shard that are sorted by length together before batching."""
    max_tokens: Annotated[int, Field(ge=512)] | None = None
    """Padded tokens per forward pass of a rank; larger steps use gradient accumulation. null: 8,192 on a CPU, 131,072 on
    a GPU."""
    pooling: Literal["mean", "first"] = "first"
    """Pooling of the token states. Both are equally accurate; with first-token pooling the last layer is almost free on a
    CPU."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Peak learning rate of the top encoder layer."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Layer-wise learning rate decay: factor per layer from top to bottom (Howard and Ruder 2018); 1: none."""
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """Number of lowest layers to freeze together with the embeddings; 0: none, including the embeddings."""
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Learning rate of the classification head."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW weight decay."""
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Fraction of the steps with linear warm-up of the learning rate."""
    max_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradient clipping: maximum norm."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout before the head; that of the encoder is part of its own configuration."""
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the exponential moving average of the weights, which is evaluated and kept; 0: no averaging."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing of the cross-entropy loss; 0: none."""
    class_weights: bool = False
    """Weight labels by inverse frequency: better macro-F1, worse calibration."""
    decision: Literal["macro_f1", "likeliest"] = "macro_f1"
    """Predicted label: argmax with label weights that maximise the expected macro-F1, or plain argmax."""
    token_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of tokens that are randomly masked in training, as augmentation for few texts."""
    consistency: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a consistency loss on unlabelled texts (`shard.unlabelled_texts`): the prediction with a fifth of the tokens
    masked should equal the confident prediction without masking (UDA, Xie et al. 2020). 0: none."""
    lora_rank: Annotated[int, Field(ge=1)] | None = None
    """Rank of LoRA adapters (Hu et al. 2022), merged at the end: a tenth of the optimiser memory; needs a learning rate about
    ten times as high. null: train all weights."""
    teacher: str | None = None
    """Model version to use as teacher for knowledge distillation (Hinton et al. 2015). null: labels only."""
    num_layers: Annotated[int, Field(ge=1)] | None = None
    """Number of layers, taken at even distances from the encoder or the teacher. null: all."""
    distillation: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Weight of the distillation loss; the label loss has the rest."""
    baselines: tuple[Literal["class_prior", "tfidf_lr", "production"], ...] = ("class_prior", "tfidf_lr", "production")
    """Baselines for promotion: class prior, TF-IDF + logistic regression, model in production. A model with a higher test
    cross-entropy than one of them stays a candidate."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where it is faster, else fp32."""
    int8: tuple[Literal["onnx", "openvino"], ...] = ("onnx",)
    """Engines to export int8 graphs for. The OpenVINO export takes half a minute; its graph is faster and more accurate on
    CPUs with int8 instructions."""
    compile: bool = True
    """Compile the encoder layers on a GPU, which takes a minute at the start; ignored on a CPU."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 100
    """Number of steps between checkpoints."""
    timeout_seconds: Annotated[int, Field(ge=10)] = 45
    """Timeout of collectives: a rank that does not respond for this long counts as failed. Must exceed the time to write a
    checkpoint."""
    max_restarts: Annotated[int, Field(ge=0)] = 3
    """Maximum number of restarts from the last checkpoint after a rank failed or hung."""
    max_seconds: Annotated[int, Field(ge=30)] = 6 * 3600
    """Time limit of the training."""
    search_trials: Annotated[int, Field(ge=0)] = 0
    """Number of hyperparameter search trials before the final training; 0: no search."""
    search_seconds: Annotated[int, Field(ge=1)] = 4 * 3600
    """Time budget of the search."""
    search_space: dict[str, list[Any]] = {
        "learning_rate": [3e-5, 5e-5, 1e-4, 2e-4],
        "layer_decay": [0.8, 0.9, 1.0],
        "num_epochs": [2, 3, 4],
        "dropout": [0.1, 0.2],
        "label_smoothing": [0.0, 0.05],
    }
    """Settings of this section with the values to sample from."""
    mlflow: str | None = None
    """MLflow tracking URI (folder, database or server) for training runs. null: no MLflow."""

    @field_validator("search_space")
    @classmethod
    def _are_settings(cls, space: dict[str, list[Any]]) -> dict[str, list[Any]]:
        unknown = sorted(name for name in space if name not in cls.model_fields or name.startswith("search"))
        if unknown or not all(space.values()):
            raise ValueError(
                f"search_space: {', '.join(unknown)}: not a setting of train"
                if unknown
                else "search_space: a list of values is empty"
            )
        for name, values in space.items():
            for value in values:
                cls.model_validate({name: value})
        return space
