"""OpenVINO backend: CPU inference with bf16 and int8 instructions."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crm_spark.text.batches import feeds
from crm_spark.text.labels import LABELS

_OPENVINO_TOKENS = 1_024
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoBackend:
    """OpenVINO on the CPU.

    Args:
        graph: ONNX graph, or int8 graph in OpenVINO format.
        precision: fp32, bf16 or int8; operations without int8 run in fp32.
        threads: of this process.
        max_tokens: padded tokens per batch; None: 1,024.
    """

    def __init__(self, graph: Path, *, precision: str, threads: int, max_tokens: int | None):
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        self.request = openvino.Core().compile_model(str(graph), "CPU", settings).create_infer_request()
        self.max_tokens = max_tokens or _OPENVINO_TOKENS

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return logits (N, K) in input order; batches are sorted by length."""
        result = np.zeros((len(lengths), len(LABELS)), np.float32)
        for batch, feed in feeds(ids, lengths, max_tokens=self.max_tokens):
            result[batch] = self.request.infer(feed)[0]
        return result
