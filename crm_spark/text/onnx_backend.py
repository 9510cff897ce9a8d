"""ONNX Runtime backend, used for scoring and to check int8 graphs after training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crm_spark.text.batches import feeds
from crm_spark.text.labels import LABELS

_ONNX_TOKENS = 768


class OnnxBackend:
    """ONNX Runtime on the CPU, without PyTorch."""

    def __init__(self, graph: Path, *, threads: int, max_tokens: int | None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.max_tokens = max_tokens or _ONNX_TOKENS

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return logits (N, K) in input order; batches are sorted by length."""
        result = np.zeros((len(lengths), len(LABELS)), np.float32)
        for batch, feed in feeds(ids, lengths, max_tokens=self.max_tokens):
            (result[batch],) = self.session.run(None, feed)
        return result
