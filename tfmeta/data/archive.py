"""Arrays in NumPy archives, read a piece at a time."""

import zipfile
from collections.abc import Iterator

import numpy as np

_PIECE = 2**20  # bytes


class ArchivedArray:
    """An array in an `.npz` file, of which only the header is read at first.

    Args:
        path: the file.
        name: of the array.

    Attributes:
        shape: of the array.
        dtype: of its elements; that of objects has to be refused before `pieces`.

    Raises:
        KeyError: there is no such array. Whatever zipfile and NumPy raise for damaged files.
    """

    def __init__(self, path: str, name: str):
        self._path, self._name = path, name
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{name}.npy")
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }.get(version)
                if read is None:
                    raise ValueError(f"version {version} of the format is unknown")
                self.shape, self._fortran, self.dtype = read(file)
                self._start = file.tell()
            held = member.file_size - self._start
            size = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
            if not self.dtype.hasobject and held != size:
                raise ValueError(f"{held} bytes instead of {size}")

    def pieces(self, axes: int) -> Iterator[np.ndarray]:
        """The array piece by piece, as if its first `axes` axes were one, which is cut.

        Raises:
            Whatever zipfile and NumPy raise for damaged files.
        """
        shape = self.shape[axes:]
        if self._fortran:  # its elements stand in another order
            with np.load(self._path, allow_pickle=False) as archive:
                yield archive[self._name].reshape(-1, *shape)
            return
        left = int(np.prod(self.shape[:axes]))
        size = int(np.prod(shape)) * self.dtype.itemsize
        most = max(1, _PIECE // size)
        with zipfile.ZipFile(self._path) as archive, archive.open(f"{self._name}.npy") as file:
            file.read(self._start)
            while left:
                count = min(left, most)
                piece = file.read(count * size)
                yield np.frombuffer(piece, self.dtype).reshape(count, *shape)
                left -= count
            file.read(1)  # at the end the checksum is compared
