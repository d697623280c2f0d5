"""One bit of a file, turned."""


def flip(path, rng):
    """Flip a bit of a file, at a place that `rng` draws, and say which."""
    data = bytearray(path.read_bytes())
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} of {path.name}"
