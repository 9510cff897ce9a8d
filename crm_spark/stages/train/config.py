"""What may vary in train."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from crm_spark.core.config import Config

MODEL = "bert"
"""Under this name its figures stand beside the baselines'."""


class TrainConfig(Config):
    """Settings of the train stage."""

    launcher: Annotated[Literal["torchrun", "spark"], Field(exclude=True)] = "torchrun"
    """Where the ranks run: beside the driver, or as tasks of Spark. A job that torchrun itself started uses its ranks.
    The model is the same: a training that was begun one way may be ended another."""
    num_ranks: Annotated[int, Field(ge=1)] = 2
    """Processes that train together; beside the driver with GPUs at most one for each."""
    reader: Literal["petastorm", "direct"] = "petastorm"
    num_epochs: Annotated[int, Field(ge=1, le=50)] = 3
    patience: Annotated[int, Field(ge=1)] = 1
    """Training ends after so many epochs in a row without a better cross-entropy on the validation split, at its best temperature."""
    max_examples: Annotated[int, Field(ge=64)] | None = None
    """Examples seen in an epoch at most, over all ranks; null: all."""
    batch_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of a step, over all ranks; a multiple of the shard set's max_world_size. Null: 64, or half or a quarter of it
    where the texts are so few that the training would end before 200 steps."""
    window_rows: Annotated[int, Field(ge=1)] = 1024
    """Rows among which those of like length are put together, in each reader_shard."""
    max_tokens: Annotated[int, Field(ge=512)] | None = None
    """Padded tokens that a rank takes through the model at once; what a step has more follows, its gradients added.
    Null: 8,192 on a processor, 131,072 on a GPU."""
    pooling: Literal["mean", "first"] = "first"
    """What the head reads: the mean of the tokens' states, or the state of the first token. They read equally well, and
    for one token the last layer costs a processor next to nothing."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer learns at so many times the rate of the one above it (Howard and Ruder 2018); 1: all alike."""
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """Layers, from the embeddings on, that stay as they were pretrained; the embeddings with them."""
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """The head starts from nothing and may learn faster."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    max_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients longer than this are shortened to it."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of the head's input; the encoder's own stands in its configuration."""
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the weights' running mean, which is judged and kept in their place; 0.99 looks back a hundred steps.
    0: the weights themselves."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: bool = False
    """Weight rare verdicts more: better macro-F1, worse calibration."""
    decision: Literal["macro_f1", "likeliest"] = "macro_f1"
    """Which verdict is given: the one that makes the macro-F1 to be expected best, or always the likeliest."""
    token_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a text's tokens that are hidden while it is learned from, others each time; few texts then tell more."""
    consistency: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a second loss on texts that nobody rated (`shard.unlabelled_texts`): a text with a fifth of its tokens hidden
    is to be read as it is read whole, where that reading is sure (Xie et al. 2020, UDA). 0: none."""
    lora_rank: Annotated[int, Field(ge=1)] | None = None
    """Only matrices of this rank beside the attention's are learned (Hu et al. 2022) and merged at the end: a tenth of the
    optimiser's memory. It wants a learning rate about ten times as high. Null: all weights."""
    teacher: str | None = None
    """Version of a model to learn from, too: its probabilities are to be met as well as the labels (Hinton et al. 2015).
    Null: labels only."""
    num_layers: Annotated[int, Field(ge=1)] | None = None
    """Layers of the model, taken evenly from the encoder, or from the teacher where there is one. Null: all."""
    distillation: Annotated[float, Field(ge=0, le=1)] = 0.7
    """The teacher's part of the loss; the labels have the rest."""
    baselines: tuple[Literal["class_prior", "tfidf_lr", "production"], ...] = ("class_prior", "tfidf_lr", "production")
    """A model with a larger cross-entropy on the test split than one of these is kept as candidate and not used:
    always the same answer, counting words, the model in use."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where it is faster, else fp32."""
    int8: tuple[Literal["onnx", "openvino"], ...] = ("onnx",)
    """Engines that the model is also written for with eight-bit weights. OpenVINO's takes half a minute, and is faster and
    agrees better where the processor has an instruction for int8."""
    compile: bool = True
    """On a GPU the encoder's layers are compiled: a minute at the start, faster from then on. Never on a processor."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 100
    timeout_seconds: Annotated[int, Field(ge=10)] = 45
    """A rank that the others wait for so long is taken for dead. More where a checkpoint takes longer to write."""
    max_restarts: Annotated[int, Field(ge=0)] = 3
    """So often ranks that died or hung are started anew from the last checkpoint; then the stage fails."""
    max_seconds: Annotated[int, Field(ge=30)] = 6 * 3600
    """The whole training is ended after this."""
    search_trials: Annotated[int, Field(ge=0)] = 0
    """Trainings with settings drawn from `search_space` before the one that counts, which takes the best; 0: none."""
    search_seconds: Annotated[int, Field(ge=1)] = 4 * 3600
    """The budget of the search: no trial goes on longer."""
    search_space: dict[str, list[Any]] = {
        "learning_rate": [3e-5, 5e-5, 1e-4, 2e-4],
        "layer_decay": [0.8, 0.9, 1.0],
        "num_epochs": [2, 3, 4],
        "dropout": [0.1, 0.2],
        "label_smoothing": [0.0, 0.05],
    }
    """Settings of this section, and the values to draw from."""
    mlflow: str | None = None
    """Where MLflow is to keep each training: a folder, a database or a server. Null: nowhere."""

    @field_validator("search_space")
    @classmethod
    def _are_settings(cls, space: dict[str, list[Any]]) -> dict[str, list[Any]]:
        unknown = sorted(name for name in space if name not in cls.model_fields or name.startswith("search"))
        if unknown or not all(space.values()):
            raise ValueError(f"search_space: {', '.join(unknown) or 'a list'} is no setting to draw, or empty")
        for name, values in space.items():
            for value in values:
                cls.model_validate({name: value})
        return space
