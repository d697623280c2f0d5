"""Where onnxruntime computes: the provider of a device, if it is there.

In: a model's path and a device. Out: a session, which says what it computes on.
"""

from pathlib import Path
from typing import Any

from facelab.errors import BadInput, FacelabError, need

# By device, in the order in which "auto" takes them.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


def opened(path: Path, device: str = "auto") -> Any:
    """A session that computes on a device, on one thread where that is the CPU.

    Parameters
    ----------
    path
        The model.
    device
        "auto" is CUDA, else CoreML, else the CPU; "cuda" may have a number: "cuda:1".

    Raises
    ------
    BadInput
        There is no such device, onnxruntime was built without it, or cannot run the model.
    FacelabError
        The provider is there and does not start: its libraries are not.
    """
    onnxruntime = need("onnxruntime", "onnx")
    wanted = _wanted(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:
        # onnxruntime has a dozen unrelated exception classes for a model that it cannot open.
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path} is not a model that onnxruntime can run: {first_line}") from error
    first = wanted[0] if isinstance(wanted[0], str) else wanted[0][0]
    # onnxruntime goes on with the CPU by itself, and says so only in its log.
    if device != "auto" and first not in session.get_providers():
        raise FacelabError(
            f"onnxruntime has {first} and cannot start it here: its libraries or its device are "
            "missing; give device='cpu', or mend them"
        )
    return session


def _wanted(device: str, there: list[str]) -> list[Any]:
    """The providers to ask for, the CPU last: it runs what the others cannot."""
    last = PROVIDERS["cpu"]
    if device == "auto":
        return list(dict.fromkeys([*(p for p in PROVIDERS.values() if p in there), last]))
    kind, _, number = str(device).partition(":")
    kind = "coreml" if kind == "mps" else kind  # as torch calls the same chip
    named = kind in PROVIDERS and (not number or (kind == "cuda" and number.isdecimal()))
    if not named:
        raise BadInput(
            f"device must be auto or one of onnxruntime's, {', '.join(PROVIDERS)}, not {device!r}"
        )
    if PROVIDERS[kind] not in there:
        have = ", ".join(name for name, provider in PROVIDERS.items() if provider in there)
        raise BadInput(
            f"device {device!r} is not there: this onnxruntime has {have} alone; install "
            f"{'onnxruntime-gpu' if kind == 'cuda' else 'a build with ' + PROVIDERS[kind]}, or "
            "give device='auto'"
        )
    if number:
        return [(PROVIDERS[kind], {"device_id": int(number)}), last]
    return list(dict.fromkeys([PROVIDERS[kind], last]))
