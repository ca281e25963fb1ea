"""What HDF5 files of Keras 2 hold, read in a process of its own.

libhdf5 trusts what a file says of itself: a few damaged bytes can make it take all memory, or never return. So another
interpreter reads the file within limits, and hands back plain arrays.
"""

import importlib.util
import io
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bandwatch.errors import CorruptError, FailedPreconditionError, NotFoundError

LARGEST_ARRAY: Final = 1_000_000
"""Values of an array that are read at most; the largest of the authors' network has 204,800."""
_LARGEST_MEMORY_BYTES: Final = 2 << 30
_LONGEST_CPU_S: Final = 5
_DESCRIPTION: Final = "model_config"

Arrays = Mapping[str, npt.NDArray[np.float64]]
"""The weights of a layer by the names that Keras gives them: "kernel", "bias" and so on."""


@dataclass(frozen=True, eq=False)
class KerasFile:
    """The content of a file."""

    description: str | None
    """JSON, the network as Keras describes it; none in a file of weights alone."""
    layers: tuple[Arrays, ...]
    """The layers that have weights, in their order."""


def read_keras_file(path: Path) -> KerasFile:
    """Return the content of a file that Keras 2 wrote by `model.save` or `model.save_weights`.

    Raises:
        FailedPreconditionError: h5py is not installed.
        NotFoundError: There is no such file.
        CorruptError: It is no such file, or it is damaged.
    """
    if importlib.util.find_spec("h5py") is None:
        raise FailedPreconditionError("reading a file of Keras needs h5py: install bandwatch[keras]")
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    reading = subprocess.run(  # noqa: S603 - our own module under our own interpreter
        [sys.executable, "-P", "-m", "training_worker.learning.keras_files", path.absolute()],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its threads would count as memory
        capture_output=True,
        check=False,
    )
    if reading.returncode != 0:
        words = reading.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        reason = words or f"reading it took too much, and was ended by signal {-reading.returncode}"
        raise CorruptError(f"{path} is no HDF5 file of Keras 2, or it is damaged: {reason}")
    return _unpacked(reading.stdout)


def _unpacked(packed: bytes) -> KerasFile:
    with np.load(io.BytesIO(packed)) as arrays:
        layers: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
        for name in arrays.files:
            if name != _DESCRIPTION:
                layer, _, weight = name.partition("/")
                layers.setdefault(layer, {})[weight] = arrays[name]
        description = arrays[_DESCRIPTION].tobytes().decode() if _DESCRIPTION in arrays else None
    return KerasFile(description, tuple(layers.values()))


def _pack(path: str) -> bytes:
    """Return the description and the weights as an archive of numpy, the latter by "number of layer/name".

    Groups, attributes and datasets are those of Keras 2's `save_weights_to_hdf5_group`.
    """
    import h5py  # noqa: PLC0415 - optional, and only the process that reads needs it

    packed: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        if _DESCRIPTION in file.attrs:
            packed[_DESCRIPTION] = np.frombuffer(_text(file.attrs[_DESCRIPTION]).encode(), dtype=np.uint8)
        weights = file.get("model_weights", file)
        for number, layer in enumerate(map(_text, weights.attrs["layer_names"])):
            for name in map(_text, weights[layer].attrs["weight_names"]):
                short = name.rpartition("/")[2].partition(":")[0]
                packed[f"{number}/{short}"] = _array(weights[layer][name])
    buffer = io.BytesIO()
    np.savez(buffer, **packed)
    return buffer.getvalue()


def _array(dataset: Any) -> npt.NDArray[np.float64]:
    if dataset.dtype.kind != "f" or dataset.size > LARGEST_ARRAY:
        raise ValueError(f"{dataset.name} holds {dataset.size} values of {dataset.dtype}")
    return np.asarray(dataset[()], dtype=np.float64)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (_LONGEST_CPU_S, _LONGEST_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_LARGEST_MEMORY_BYTES, _LARGEST_MEMORY_BYTES))
    sys.stdout.buffer.write(_pack(sys.argv[1]))
