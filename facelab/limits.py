"""How large what is given may be: looked at before it is read, and told in one sentence.

In: a path, or what a header promises. Out: its bytes, or the sentence. What no limit can foresee is
held against the memory of the machine.
"""

import contextlib
import io
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from facelab.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

_MB, _GB = 10**6, 10**9
_AT_ONCE = 1 << 24  # bytes looked at together


@dataclass(frozen=True)
class Limit:
    """What a file of one kind may hold.

    Attributes
    ----------
    what
        The kind, for the sentence: "a photo".
    bytes
        At most.
    advice
        What to do with more.
    """

    what: str
    bytes: int
    advice: str = "it is damaged, or not what it is taken for"


# The limits, all of them. Each is several times what the largest honest file is known to need.
PHOTO = Limit("a photo", _GB)
YAML = Limit("a yaml file", _MB)
ANNOTATION = Limit("an annotation of one image", _MB)
JSON = Limit("a json file", 250 * _MB)
LABELS = Limit("a file of labels", _GB, "give parquet, or a part of it")  # 20 million images
TABLE = Limit("a csv file", 10 * _GB, "give parquet")
RECORD_INDEX = Limit("an index of records", 2 * _GB)  # 80 million images
PACKED = Limit("a file of packed pairs", 4 * _GB)
MODEL = Limit("an ONNX model's own file", 2**31)  # protobuf's own; larger weights lie beside it
MOST_COLUMNS = 20_000  # of a table: five times the longest vectors in use
LONGEST_LINE = 4 * _MB  # of a table in text: so many columns of the longest numbers, many times
MOST_CASES = 10_000  # of a sweep, each of which is a run
DEEPEST = 64  # brackets within brackets in yaml and json
MOST_NODES = 1_000_000  # of a yaml file, each counted as often as it is referred to
MOST_DIGITS = 1000  # of a whole number; Python reads no more than 4,300
INFLATED, RATIO = 100 * _MB, 100  # an archive that unpacks to more, and more than so many times


def spelt(size: float) -> str:
    """A number of bytes as people say it: "30 GB"."""
    for unit, name in ((10**15, "PB"), (10**12, "TB"), (_GB, "GB"), (_MB, "MB"), (1000, "kB")):
        if size >= unit:
            return f"{size / unit:,.3g} {name}"
    return f"{size:,} bytes"


# ---- files


@contextlib.contextmanager
def opened(path: str | Path, limit: Limit) -> Iterator[BinaryIO]:
    """A file to read: a regular one, within its limit. A pipe is never waited for.

    Raises
    ------
    FileNotFoundError
        It is not there.
    BadInput
        It may not be read, is a folder, a pipe or a device, or larger than its limit.
    """
    if "\0" in os.fspath(path):
        raise BadInput(f"{str(path)!r} is no path: it holds NUL")

    def without_waiting(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        file = open(path, "rb", opener=without_waiting)  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {os.strerror(error.errno)}") from None
    with file:
        _check(os.fstat(file.fileno()), path, limit)
        yield file


def read_bytes(path: str | Path, limit: Limit) -> bytes:
    """All bytes of a regular file, no more than its limit; see `opened`."""
    with opened(path, limit) as file:
        data = file.read(os.fstat(file.fileno()).st_size)
        # What /proc holds says that it has no bytes, and a file may grow while it is read.
        while (more := file.read(_AT_ONCE)) and len(data) <= limit.bytes:
            data += more
    if len(data) > limit.bytes:
        raise _too_large(path, len(data), limit)
    return data


def check_file(path: str | Path, limit: Limit) -> None:
    """Refuse what `read_bytes` would, for who hands the path on."""
    with opened(path, limit):
        pass


def check_text(path: str | Path, limit: Limit) -> None:
    """Refuse a file in which no table can stand as text: too large, NUL, or a line without end.

    For readers that would take memory by what they find. A second for some gigabytes.
    """
    with opened(path, limit) as file:
        at = line = 0
        while part := file.read(_AT_ONCE):
            if b"\0" in part:
                where = at + part.index(b"\0")
                raise BadInput(f"{path} is no text: it holds NUL, first at byte {where:,}")
            if at == 0:
                check_columns(path, part.partition(b"\n")[0].count(b",") + 1)
            at, ends = at + len(part), part.rfind(b"\n")
            line = line + len(part) if ends < 0 else len(part) - ends
            if line > LONGEST_LINE:
                raise BadInput(
                    f"{path} has a line of more than {spelt(LONGEST_LINE)}, and is no table: "
                    "give a csv file with one row a line"
                )


def check_columns(path: Any, count: int) -> None:
    """Refuse a table of more columns than any has."""
    if count > MOST_COLUMNS:
        raise BadInput(
            f"{path} has {count:,} columns, and a table at most {MOST_COLUMNS:,}: is it turned, "
            "with one column a row?"
        )


def _check(found: os.stat_result, path: Any, limit: Limit) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise BadInput(f"{path} is a folder, where a file is wanted")
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path} is a pipe or a device, where a file is wanted")
    if found.st_size > limit.bytes:
        raise _too_large(path, found.st_size, limit)


def _too_large(path: Any, size: int, limit: Limit) -> BadInput:
    return BadInput(
        f"{path} has {spelt(size)}, and {limit.what} at most {spelt(limit.bytes)}: {limit.advice}"
    )


# ---- what headers promise


def check_room(size: int, what: str) -> None:
    """Refuse what would take more memory than there is; `what` begins the sentence."""
    there = memory()
    if size > there:
        raise BadInput(
            f"{what} would take {spelt(size)} of memory, and there are {spelt(there)}: give less, "
            "or a larger machine"
        )


def memory() -> int:
    """Bytes of memory that this process may have: the machine's, its container's, its own limit."""
    most = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if _counts_pages() else []
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        most.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(ImportError):  # Windows has none
        import resource

        own = resource.getrlimit(resource.RLIMIT_AS)[0]
        if own != resource.RLIM_INFINITY:
            taken = int(Path("/proc/self/statm").read_text().split()[0])
            most.append(max(own - taken * resource.getpagesize(), 0))
    return min(most, default=2**62)


def _counts_pages() -> bool:
    return "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {})


def check_inflated(size: int, packed: int, path: Any) -> None:
    """Refuse an archive that unpacks to far more than numbers ever do, or than fits."""
    if size > INFLATED and size > RATIO * packed:
        raise BadInput(
            f"{path} unpacks from {spelt(packed)} to {spelt(size)}, as no vectors do: it is "
            "damaged, or made to fill memory"
        )
    check_room(size, f"{path}, unpacked,")


def read_parquet(path: str | Path, data: bytes | None = None) -> "pd.DataFrame":
    """A table of a parquet file, after its own counts were held against the memory there is.

    Parameters
    ----------
    path
        The file.
    data
        What stands in it, where it was read already.

    Raises
    ------
    FileNotFoundError, BadInput
        It is not there, is none, or would not fit.
    """
    import pandas as pd
    import pyarrow

    try:
        check_parquet(path, data=data)
        return pd.read_parquet(path if data is None else io.BytesIO(data))
    except BadInput:
        raise
    except (pyarrow.ArrowException, ValueError, MemoryError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path} cannot be read as a parquet file: {words[:200]}") from error


def check_parquet(
    path: str | Path,
    columns: Collection[str] | None = None,
    group: int | None = None,
    data: bytes | None = None,
) -> None:
    """Refuse a parquet file of which some columns, or one row group, would not fit into memory.

    A column of one value takes a few bytes on disk, whatever its number of rows.
    """
    import pyarrow.parquet as pq

    if data is None:
        check_file(path, Limit("a table", 2**62))
    with pq.ParquetFile(path if data is None else io.BytesIO(data)) as file:
        found, size = file.metadata, 0
        check_columns(path, found.num_columns)
        for number in range(found.num_row_groups) if group is None else [group]:
            row_group = found.row_group(number)
            for column in range(row_group.num_columns):
                chunk = row_group.column(column)
                if columns is None or chunk.path_in_schema.split(".")[0] in columns:
                    size += max(chunk.total_uncompressed_size, 8 * chunk.num_values)
        check_room(size, f"the table {path}")
