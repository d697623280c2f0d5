"""Crops as networks take them: resized, as tensors, on a device.

In: uint8 crops. Out: uint8 crops of another side, or float tensors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from facelab.errors import BadInput, in_brief
from facelab.faces.faceset import FaceSet

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resized(crops: np.ndarray, size: int) -> np.ndarray:
    """Crops of another side length: every new pixel is the mean of the area it covers.

    Parameters
    ----------
    crops
        uint8 (N, S, S, 3).
    size
        The new side.

    Returns
    -------
    uint8 (N, size, size, 3)
    """
    side = crops.shape[1]
    if side == size:
        return crops
    edges = np.arange(size + 1) * (side / size)
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights = (np.maximum(overlap, 0) * (size / side)).astype(np.float32)
    result = np.empty((len(crops), size, size, 3), np.uint8)
    for start in range(0, len(crops), 256):
        part = crops[start : start + 256].astype(np.float32)
        rows = np.matmul(weights, part.reshape(len(part), side, -1))
        rows = rows.reshape(len(part), size, side, 3)
        result[start : start + 256] = np.rint(np.matmul(weights, rows)).astype(np.uint8)
    return result


def write_resized(faces: FaceSet, out: np.ndarray) -> None:
    """Put the crops of all faces, at the side of `out`, into `out`: uint8 (N, size, size, 3)."""
    for start in range(0, len(faces), 1024):
        rows = slice(start, start + 1024)
        out[rows] = resized(faces.gather(rows), out.shape[1])


def as_images(crops: np.ndarray, device: torch.device) -> Tensor:
    """Crops as the network takes them: float (B, 3, S, S) from 0 to 1, channels last."""
    # Copied: torch refuses to look at memory that it may not write, as a memory map's.
    return as_floats(torch.tensor(np.ascontiguousarray(crops)).to(device, non_blocking=True))


def as_floats(crops: Tensor) -> Tensor:
    """The same of uint8 (B, S, S, 3) that is on its device."""
    return crops.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without waiting for what is at work there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises
    ------
    BadInput
        torch knows no device of this name, or there is none on this machine.
    """
    if device != "auto":
        return _device_here(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _device_here(device: str) -> torch.device:
    try:
        found = torch.device(device)
        here = torch.get_device_module(found.type).device_count()
    except (RuntimeError, TypeError, ValueError, AttributeError):
        here = 0  # torch has four ways to say so
    if not here or (found.index or 0) >= here:
        names = [name for name in ("cuda", "mps") if getattr(torch, name).is_available()]
        raise BadInput(
            f"device must be auto or what torch has here, {', '.join(['cpu', *names])}, "
            f"not {in_brief(device)}"
        )
    return found


def as_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor of any kind, also of those that NumPy lacks."""
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16, so that it pays to compute in it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@contextmanager
def fastest_kernels(device: torch.device) -> Iterator[None]:
    """Let cuDNN look for its fastest kernels in the block, unless the same result is asked for."""
    before = torch.backends.cudnn.benchmark
    if device.type == "cuda" and not torch.backends.cudnn.deterministic:
        torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def kernels_on(device: torch.device) -> dict[str, bool]:
    """What torch's switches say of how a GPU multiplies now; nothing of other devices."""
    if device.type != "cuda":
        return {}
    return {
        "tf32_matmul": torch.get_float32_matmul_precision() != "highest",
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def computes_on(device: torch.device) -> str:
    """What of a device decides the last digits: its kind, its instructions, how it multiplies."""
    exact = f"{torch.get_float32_matmul_precision()}{' bf16' if computes_bf16(device) else ''}"
    if device.type == "cuda":
        tf32 = "tf32" if torch.backends.cudnn.allow_tf32 else "no tf32"
        return f"cuda {torch.cuda.get_device_name(device)} {exact} {tf32}"
    if device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()} {exact}"
    return f"{device.type} {exact}"
