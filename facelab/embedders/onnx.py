"""Embedders of others, as ONNX files.

In: a model file and how its pixels are prepared, stated beside the model or by arguments. Out: an
embedder like our own, run by onnxruntime.
"""

import functools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facelab import files
from facelab.datasets.reader import one_line
from facelab.embedders.batches import embed_batches
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.external import checksum, quantises_by_batch
from facelab.embedders.kinds import NEXT
from facelab.embedders.outputs import no_output, several_outputs, tried
from facelab.embedders.providers import opened
from facelab.embedders.stated import EXAMPLE, NEEDED, OPTIONS, TOLD, beside, check_same
from facelab.embedders.tensors import resized
from facelab.embedders.vectors import as_vectors
from facelab.errors import BadInput, check_option, there_are
from facelab.faces.faceset import FaceSet
from facelab.faces.presenting import presented

_FACTS = ("title", "training_data", "ms_celeb", "licence", "note")


class OnnxEmbedder:
    """A pretrained embedder in an ONNX file.

    How pixels become the model's input is never guessed: it stands in a file beside the model with
    the model's name (`model.json`, `model.yaml`), in a preset, or is given by arguments. Arguments
    win over a preset, and a preset over the file.

    Parameters
    ----------
    path
        The model: one input of float32 images, (N, 3, S, S) or (N, S, S, 3), N fixed or not. Axes
        of length one of its output, as in (N, D, 1, 1), are taken out.
    channels
        "rgb" or "bgr": the order in which the model takes the colours.
    mean, std
        One number or three (in the order of `channels`): the input is (pixel - mean) / std, with
        pixels from 0 to 255.
    size
        Side of the input in pixels, where the model leaves it open.
    output
        The output that holds the vectors, where there are several.
    name
        What to call it in tables and figures; by default the file's name.
    preset
        A well-known model of which all this is known, see `presets()`. What it was trained on and
        its licence go into the embeddings' card.
    device
        "auto" is CUDA, else CoreML, else the CPU, as far as this onnxruntime has them; the card
        names the provider.

    Raises
    ------
    MissingExtra
        onnxruntime is not installed.
    FileNotFoundError, BadInput
        The file is not there, is not a model, does not map images to vectors, or is not the model
        that the preset describes; or its preprocessing is not stated.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        channels: str | None = None,
        mean: float | list[float] | None = None,
        std: float | list[float] | None = None,
        size: int | None = None,
        output: str | None = None,
        name: str | None = None,
        preset: str | None = None,
        device: str = "auto",
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no model {self.path}")
        given = {
            "channels": channels,
            "mean": mean,
            "std": std,
            "size": size,
            "output": output,
            "name": name,
        }
        known = _preset(preset) if preset else {}
        told = beside(self.path)
        stated = told | {key: known[key] for key in known if key in OPTIONS}
        stated |= {key: value for key, value in given.items() if value is not None}
        absent = [key for key in NEEDED if key not in stated]
        if absent:
            raise BadInput(
                f"how {self.path.name} wants its pixels is not stated ({', '.join(absent)}): write "
                f"{self.path.with_suffix('.json').name} beside it, such as {EXAMPLE}, or give "
                "these as options, or a preset; the input is (pixel - mean) / std"
            )
        self.name = str(stated.get("name", self.path.stem))
        self.preprocessing = {key: stated[key] for key in (*NEEDED, "resample") if key in stated}
        self._reverse = _is_bgr(stated["channels"])
        self._mean, self._std = (_three(stated[key], key) for key in ("mean", "std"))
        if not (self._std > 0).all():
            raise BadInput(f"std must be greater than 0, not {stated['std']}")
        self._session = opened(self.path, device)
        self._sha256 = checksum(self.path)  # of what was opened, whatever becomes of the file
        check_same(self.path, told, self._sha256)
        self.provider = self._session.get_providers()[0]
        self._read_input(_side(stated.get("size")))
        self._output = self._choose_output(stated.get("output"))
        if self.fixed is None and not self._takes_several():
            self.fixed = 1  # open in name only: a reshape inside counts on one image
        quantised = quantises_by_batch(self.path)
        self.dim, self._alone = tried(self._run, self.size, self.path.name, quantised)
        if known and self.dim != known["dim"]:
            raise BadInput(
                f"{self.path.name} gives vectors of {self.dim} numbers, and the preset {preset} "
                f"is of a model of {known['dim']}: give the preset of this model"
            )
        # What a report must be able to say of whoever is in the training data.
        self.about = {"preset": preset} | {key: known[key] for key in _FACTS if key in known}
        self.about |= {key: told[key] for key in TOLD if key in told}

    def identity(self) -> str:
        """The SHA-256 of the model, and how it takes faces: what decides its embeddings."""
        how = ["one at a time"] if self._alone else []
        return files.as_json([self._sha256, self._output, self.preprocessing, self.about, *how])

    def computed(self) -> list[str]:
        """What else decides the last digits here."""
        return [self.provider]

    def embed(
        self,
        faces: FaceSet,
        flip: bool = True,
        batch: int = 64,
        jobs: int | None = None,
        progress: bool = True,
    ) -> Embeddings:
        """One unit vector a face.

        Parameters
        ----------
        faces
            Crops of the model's own size; of any size where the file beside the model states that
            they are resampled.
        flip
            Add the vector of the mirror image before normalising.
        batch
            Faces handed to the model at a time, where it takes more than one and gives each the
            vector that it has alone.
        jobs
            Threads, each running the model on its own batch; by default one a core.
        progress
            Show a bar.

        Raises
        ------
        BadInput
            The crops have another size, or a vector is zero or not finite.
        """
        facts = {"model": self.about} if self.about != {"preset": None} else {}
        # Threads, not processes: onnxruntime leaves the interpreter free while it computes, and
        # every session run keeps to its own thread.
        return embed_batches(
            self._run,
            faces,
            self.dim,
            name=self.name,
            size=None if "resample" in self.preprocessing else self.size,
            flip=flip,
            batch=batch,
            jobs=jobs,
            workers="threads",
            progress=progress,
            alone=self._alone,
            model_sha256=self._sha256,
            provider=self.provider,
            preprocessing=self.preprocessing,
            **facts,
        )

    def facts(self) -> dict[str, Any]:
        """What the file beside the model would state of it."""
        return {"name": self.name, **self.preprocessing, "size": self.size, "output": self._output}

    def to_int8(self, path: str | Path, faces: FaceSet, *, replace: bool = False) -> Path:
        """Write the model rounded to 8 bits, and `model.json` beside it, which says how to use it.

        By onnxruntime's static quantisation. Rounding may cost some groups more than others:
        `fl.compare_embedders` says whom.

        Parameters
        ----------
        path
            `model-int8.onnx`; `fl.load_embedder(path)` opens it without options.
        faces
            Some hundred faces, none of the test, over which the range of every layer's numbers is
            measured. Who is among them is told in `model.json`.
        replace
            Put them in the place of files that are there.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        MissingExtra
            The `onnx` extra is not installed.
        BadInput
            The name does not end in .onnx, something is there, or there are fewer than 32 faces.
        """
        from facelab.embedders.int8 import write_rounded

        return write_rounded(self, Path(path), faces, replace)

    def __repr__(self) -> str:
        return f"OnnxEmbedder {self.name!r}: {self.size} px to {self.dim} dimensions"

    def _repr_html_(self) -> str:
        facts = {"takes": f"{self.size} px", "gives": f"{self.dim} numbers a face", **self.about}
        return presented(f"Pretrained embedder {self.name}", facts, NEXT)

    def _read_input(self, size: int | None) -> None:
        """Batch size, layout and side of the model's one input."""
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if inputs else []
        channel_axis = next((axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == 3), None)
        if len(inputs) != 1 or channel_axis is None or inputs[0].type != "tensor(float)":
            what = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise BadInput(
                f"{self.path.name} takes {what or 'no input'}: an embedder takes one tensor(float) "
                "of (N, 3, S, S) or (N, S, S, 3)"
            )
        self._input, self._channels_first = inputs[0].name, channel_axis == 1
        self.fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        sides = {side for axis, side in enumerate(shape) if axis not in (0, channel_axis)}
        fixed = {side for side in sides if isinstance(side, int) and side > 0}
        if len(fixed) > 1:
            raise BadInput(f"{self.path.name} takes images of {shape}: only square ones are known")
        if not fixed and size is None:
            raise BadInput(f"{self.path.name} leaves its image size open: give size, such as 112")
        self.size = fixed.pop() if fixed else size
        if size not in (None, self.size):
            raise BadInput(f"{self.path.name} takes images of {self.size} px, not of size={size}")

    def _choose_output(self, output: str | None) -> str:
        names = [found.name for found in self._session.get_outputs()]
        if output is None and len(names) > 1:
            raise BadInput(several_outputs(self.path.name, names))
        if output is not None and output not in names:
            raise BadInput(no_output(self.path.name, output, names))
        return output or names[0]

    def _takes_several(self) -> bool:
        """Whether the model gives two vectors for two images."""
        try:
            return len(self._run(np.full((2, self.size, self.size, 3), 127, np.uint8))) == 2
        except BadInput:
            return False

    def _run(self, crops: np.ndarray) -> np.ndarray:
        """Raw outputs (n, D) of uint8 crops (n, S, S, 3)."""
        step = self.fixed or len(crops)
        parts = [self._run_step(crops[at : at + step], step) for at in range(0, len(crops), step)]
        return np.concatenate(parts)

    def pixels(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input for uint8 crops (n, S, S, 3), float32, by its name."""
        if "resample" in self.preprocessing:
            crops = resized(crops, self.size)
        if self._reverse:
            crops = crops[..., ::-1]
        pixels = (crops - self._mean) / self._std
        if self._channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        return {self._input: np.ascontiguousarray(pixels, dtype=np.float32)}

    def _run_step(self, crops: np.ndarray, step: int) -> np.ndarray:
        count = len(crops)
        if count < step:
            # A model of fixed batch size runs with places to fill at the end of the set: by the
            # last face, since what is quantised by the batch must not see anything else.
            crops = np.concatenate([crops, np.repeat(crops[-1:], step - count, axis=0)])
        feed = self.pixels(crops)
        try:
            result = self._session.run([self._output], feed)[0]
        except Exception as error:
            # onnxruntime has a dozen unrelated exception classes for a model that it cannot run.
            raise BadInput(
                f"{self.path.name} cannot be run on images of {self.size} px: {one_line(error)}"
            ) from error

        def said(shape: tuple[int, ...]) -> str:
            return f"{self.path.name} gives {shape} for {step} crops"

        return as_vectors(result, step, f"{self.path.name} gives", said)[:count]


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """The known models by name: their preprocessing, training data, licence and source."""
    return yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8"))


def _preset(name: str) -> dict[str, Any]:
    if name not in presets():
        raise BadInput(f"there is no preset {name!r}{there_are(name, presets())}")
    return presets()[name]


def _is_bgr(channels: Any) -> bool:
    check_option("channels", channels, ("rgb", "bgr"))
    return channels == "bgr"


def _side(size: Any) -> int | None:
    if size is not None and not re.fullmatch(r"[1-9]\d{0,3}", str(size)):
        raise BadInput(f"size must be a whole number of pixels, such as 112, not {size!r}")
    return None if size is None else int(size)


def _three(value: Any, key: str) -> np.ndarray:
    """One number or three as a float32 row that broadcasts over (..., 3)."""
    try:
        numbers = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape not in ((), (3,)) or not np.isfinite(numbers).all():
        raise BadInput(f"{key} must be one number or three, not {value!r}")
    return np.broadcast_to(numbers, (3,))
