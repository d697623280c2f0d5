"""Whether the processes that train together live: who falls silent ends the work of all.

In: the ranks of a group. Out: nothing while all live; a sentence and the end of this process where
one was stopped, or its machine lost, and the others would wait for it for ever.
"""

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import distributed

SILENCE = 120.0  # seconds without a pulse after which a process is lost


@contextmanager
def pulses(rank: int, size: int, group: Any) -> Iterator[None]:
    """Say that this process lives, and listen to the others, until the block ends.

    A killed process closes its connections, which gloo notices by itself; one that is stopped, or
    whose machine is gone, closes nothing. The first process listens to all, they to it: if it ends
    for one of them, the others hear of that.

    Parameters
    ----------
    rank, size
        Of this process among all.
    group
        By which they tell each other where to meet.
    """
    with ExitStack() as stack:
        peers = _meet(rank, size, group)
        for peer in peers.values():
            stack.enter_context(peer)
            peer.setblocking(False)
        left = threading.Event()
        thread = threading.Thread(target=_listen, args=(peers, rank, size, left), daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()
            thread.join()


def _meet(rank: int, size: int, group: Any) -> dict[int, socket.socket]:
    """Connections by rank: of the first process to all others, of them to it."""
    host = os.environ["MASTER_ADDR"]
    place: list[Any] = [None]
    if rank > 0:
        distributed.broadcast_object_list(place, 0, group)
        port, word = place[0]
        peer = socket.create_connection((host, port), timeout=SILENCE)
        peer.sendall(word + rank.to_bytes(4, "big"))
        return {0: peer}
    peers: dict[int, socket.socket] = {}
    with _door(host) as door:
        # Whoever else finds the door does not know the word.
        place = [(door.getsockname()[1], secrets.token_bytes(16))]
        distributed.broadcast_object_list(place, 0, group)
        door.settimeout(SILENCE)
        while len(peers) < size - 1:
            peer = door.accept()[0]
            peer.settimeout(SILENCE)
            said = peer.recv(20, socket.MSG_WAITALL)
            if said[:-4] == place[0][1]:
                peers[int.from_bytes(said[-4:], "big")] = peer
            else:
                peer.close()
    return peers


def _door(host: str) -> socket.socket:
    """Where the others knock: at the address they were given or, where that is not this machine's
    own name for itself, at any."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError:
        return socket.create_server(("", 0))


def _listen(peers: dict[int, socket.socket], rank: int, size: int, left: threading.Event) -> None:
    heard = dict.fromkeys(peers, time.monotonic())
    while not left.wait(SILENCE / 20):
        for other, peer in peers.items():
            try:
                if _beat(peer):
                    heard[other] = time.monotonic()
                silent = time.monotonic() - heard[other] > SILENCE
            except OSError:
                # It ended, and what waits for it hears so as well; or it never does.
                silent = not left.wait(SILENCE)
            if silent and not left.is_set():
                sys.stderr.write(
                    f"facelab: process {other} of {size} has not been heard of for {SILENCE:.0f} "
                    f"seconds, and process {rank} stops: it was stopped, or its machine is lost; "
                    "with `checkpoints`, resume goes on from the newest\n"
                )
                sys.stderr.flush()
                os._exit(1)  # whoever waits within gloo or nccl cannot be asked to stop


def _beat(peer: socket.socket) -> bool:
    """Say a byte, and whether the other has said any."""
    try:
        peer.send(b".")
        said = peer.recv(1 << 16)
    except BlockingIOError:
        return False
    if not said:
        raise ConnectionResetError
    return True
