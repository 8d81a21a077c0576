"""The probability of speech in each 32 ms, by the Silero model that faster-whisper ships."""

# onnxruntime has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.voice.audio import Samples

__all__ = ["FRAME", "FRAME_S", "SileroModel", "SpeechProbability"]

FRAME = 512
"""Samples of a frame: 32 ms."""
FRAME_S = FRAME / 16_000
CONTEXT = 64
"""Samples of the frame before, which the model reads in front of each."""
STATE = (1, 1, 128)


class SpeechProbability(Protocol):
    """Tells speech from everything else, frame by frame."""

    def probability(self, frame: Samples) -> float:
        """Of speech in the next FRAME samples, 0 to 1."""
        ...

    def reset(self) -> None:
        """Forgets what came before."""
        ...


class SileroModel:
    """Carries the model's state and context from frame to frame.

    faster-whisper's own class begins with an empty state at each call, and so hears every frame as the first one.
    """

    def __init__(self) -> None:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session: Any = onnxruntime.InferenceSession(
            str(_model_file()), providers=["CPUExecutionProvider"], sess_options=options
        )
        self._input = np.zeros((1, CONTEXT + FRAME), np.float32)
        self._h = np.zeros(STATE, np.float32)
        self._c = np.zeros(STATE, np.float32)

    def probability(self, frame: Samples) -> float:
        self._input[0, :CONTEXT] = self._input[0, -CONTEXT:]
        self._input[0, CONTEXT:] = frame
        found, self._h, self._c = self._session.run(None, {"input": self._input, "h": self._h, "c": self._c})
        return float(found.reshape(-1)[0])

    def reset(self) -> None:
        self._input[:] = 0
        self._h = np.zeros(STATE, np.float32)
        self._c = np.zeros(STATE, np.float32)


def _model_file() -> Path:
    found = find_spec("faster_whisper")
    if found is None or found.origin is None:
        raise UsageError(f"voice needs faster-whisper; {install_command('voice')}")
    files = sorted((Path(found.origin).parent / "assets").glob("silero_vad*.onnx"))
    if not files:
        raise UsageError("this version of faster-whisper ships no Silero model; install 1.2 or newer")
    return files[-1]
