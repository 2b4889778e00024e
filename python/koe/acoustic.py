# SPDX-License-Identifier: Apache-2.0
"""The acoustic model: tokens and a style to what the vocoder needs. ONNX Runtime runs the bundle's sub-graph."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from koe.errors import InvalidModelError, InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from koe import _core

_INPUTS = ("tokens", "style", "speed")
_OUTPUTS = ("asr", "f0", "n", "durations")


@dataclass(frozen=True, slots=True, eq=False)
class AcousticFrames:
    """The acoustic model's output for one chunk of L tokens; T frames, 40 a second.

    Attributes:
        asr: encoded phonemes, repeated by duration, float32 [1, 512, T].
        f0: pitch in Hz, float32 [1, 2T].
        n: energy, float32 [1, 2T].
        durations: frames of each token and of the pads at both ends, int64 [L + 2]; they sum to T.
    """

    asr: "npt.NDArray[np.float32]"
    f0: "npt.NDArray[np.float32]"
    n: "npt.NDArray[np.float32]"
    durations: "npt.NDArray[np.int64]"


class AcousticModel(Protocol):
    """What stands between tokens and the vocoder; koe calls it from several threads at once."""

    def run(self, ids: "npt.NDArray[np.int64]", style: "npt.NDArray[np.float32]", speed: float) -> AcousticFrames:
        """Runs one chunk.

        Args:
            ids: token ids without the pads, [L], 1 ≤ L ≤ 510.
            style: [256], of which the second half is used here.
            speed: durations are divided by it.
        """
        ...


class OrtAcousticModel:
    """The bundle's acoustic sub-graph in ONNX Runtime. Thread-safe."""

    def __init__(
        self, bundle: "_core.Bundle", threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        """
        Args:
            bundle: the prepared model; not needed afterwards.
            threads: threads of one run; 0 for as many as the process may use processors.
            providers: execution providers in the order of preference.

        Raises:
            InvalidRequestError: this ONNX Runtime has none of one of these names.
            InvalidModelError: the sub-graph can't be run.
        """
        import onnxruntime

        available = onnxruntime.get_available_providers()
        missing = [name for name in providers if name not in available]
        if missing:
            raise InvalidRequestError(
                f"ONNX Runtime has no execution provider {missing[0]!r} here; it has {', '.join(available)}"
            )
        graph = bundle.acoustic_model.tobytes()
        # Opening the bundle read all of it, and ONNX Runtime is about to have three copies of this part.
        bundle.release_pages()
        try:
            self._session = onnxruntime.InferenceSession(
                graph, _options(onnxruntime, threads, bundle), providers=list(providers)
            )
        except ort_failures() as error:
            raise InvalidModelError(f"{bundle.path}: ONNX Runtime refuses the acoustic model: {error}") from error
        # The session keeps the serialised model to build itself anew with other providers, which koe never asks for.
        self._session._model_bytes = None
        del graph
        names = [value.name for value in self._session.get_inputs()]
        if set(names) != set(_INPUTS):
            raise InvalidModelError(
                f"{bundle.path}: the acoustic model's inputs are {', '.join(names)} instead of {', '.join(_INPUTS)}"
            )

    def run(self, ids: "npt.NDArray[np.int64]", style: "npt.NDArray[np.float32]", speed: float) -> AcousticFrames:
        """See `AcousticModel.run`.

        Raises:
            InvalidModelError: ONNX Runtime failed, or the output isn't finite.
        """
        import numpy as np

        tokens = np.zeros((1, len(ids) + 2), np.int64)
        tokens[0, 1:-1] = ids
        inputs = {
            "tokens": tokens,
            "style": np.ascontiguousarray(style, np.float32).reshape(1, 256),
            "speed": np.array([speed], np.float32),
        }
        try:
            asr, f0, n, durations = self._session.run(_OUTPUTS, inputs)
        except ort_failures() as error:
            raise InvalidModelError(f"the acoustic model failed on {len(ids)} tokens: {error}") from error
        if not (np.isfinite(f0).all() and np.isfinite(n).all() and np.isfinite(asr).all()):
            raise InvalidModelError("the acoustic model gave values that are not finite; the voice or model is damaged")
        return AcousticFrames(asr, f0, n, durations.reshape(-1).astype(np.int64))


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _options(onnxruntime: Any, threads: int, bundle: "_core.Bundle") -> Any:
    options = onnxruntime.SessionOptions()
    # Given 0, ONNX Runtime would count the machine's cores, not the process's, and pin its threads to them.
    options.intra_op_num_threads = threads or usable_processors()
    options.inter_op_num_threads = 1
    if "koe.graph_optimization" in bundle.metadata:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Idle threads that spin would take the vocoder's cores; a memory pattern for each new length would never be freed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return options


def ort_failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises about a graph or its inputs."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
