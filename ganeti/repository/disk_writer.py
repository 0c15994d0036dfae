# SPDX-License-Identifier: BSD-2-Clause
"""Stores the areas of a disk, as they arrive, as chunks of a repository; everything here blocks.

An area that covers a part of a chunk is completed from the chunk of the parent. Compression,
encryption and syncing of chunks run in some threads, as libraries do them without Python's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ganeti.errors import Code, Failed
from ganeti.repository.chunk_format import CHUNK_SIZE, ZERO
from ganeti.repository.extents import Extent, StreamHead
from ganeti.repository.stored_repository import StoredRepository, chunk_lengths

_ZEROS = bytes(CHUNK_SIZE)


@dataclass(frozen=True)
class WrittenDisk:
    """A disk in a repository: the digests of its chunks.

    ``read`` are the bytes that arrived, ``written`` those of new files.
    """

    size: int
    chunks: tuple[bytes, ...]
    read: int
    written: int
    changes: bool


@dataclass
class _Piece:
    """The areas of one chunk that have arrived."""

    index: int
    extents: list[Extent] = field(default_factory=list)


class DiskWriter:
    """Stores one disk; ``claim`` keeps a chunk from being removed.

    ``parent`` are the chunks of the same disk in an earlier backup, and ``parent_size`` its size.
    """

    def __init__(
        self,
        repository: StoredRepository,
        head: StreamHead,
        claim: Callable[[bytes], None],
        parent: Sequence[bytes] = (),
        parent_size: int = 0,
    ) -> None:
        if head.changes and parent_size != head.size:
            raise Failed(
                "only the changes of a disk were sent, which has another size than in the parent"
                " backup",
                Code.ENVIRONMENT,
            )
        self._repository = repository
        self._size = head.size
        self._changes = head.changes
        self._claim = claim
        self._lengths = chunk_lengths(head.size)
        self._base: Sequence[bytes] | None = parent if head.changes else None
        self._chunks: list[bytes | None] = list(parent) if head.changes else []
        self._chunks += [None] * (len(self._lengths) - len(self._chunks))
        self._piece: _Piece | None = None
        self._threads = ThreadPoolExecutor(repository.store.threads, "chunks")
        self._max_pending = 2 * repository.store.threads
        """The number of chunks that may wait for a thread."""
        self._pending: list[tuple[int, Future[tuple[bytes, int]]]] = []
        self._read = self._written = 0

    def add_extent(self, extent: Extent) -> None:
        """Store an area; offsets must increase.

        :raises Failed: the repository cannot be written.
        """
        if extent.data is not None:
            self._read += extent.length
        offset, end = extent.offset, extent.offset + extent.length
        while offset < end:
            index = offset // CHUNK_SIZE
            until = min(end, (index + 1) * CHUNK_SIZE)
            self._add_piece(index, extent, offset, until)
            offset = until

    def _add_piece(self, index: int, extent: Extent, begin: int, end: int) -> None:
        if self._piece is not None and self._piece.index != index:
            self._store_piece()
        if self._piece is None:
            self._piece = _Piece(index)
        data = extent.data
        if data is not None:
            data = data[begin - extent.offset : end - extent.offset]
        self._piece.extents.append(Extent(begin - index * CHUNK_SIZE, end - begin, data))

    def _store_piece(self) -> None:
        piece, self._piece = self._piece, None
        assert piece is not None
        length = self._lengths[piece.index]
        covered = sum(each.length for each in piece.extents)
        if covered == length and all(each.data is None for each in piece.extents):
            self._chunks[piece.index] = ZERO
            return
        if len(self._pending) >= self._max_pending:
            self._collect(len(self._pending) - self._max_pending + 1)
        work = self._threads.submit(self._store, piece, length, covered)
        self._pending.append((piece.index, work))

    def _store(self, piece: _Piece, length: int, covered: int) -> tuple[bytes, int]:
        """Complete and store a chunk; return its digest, and the size of its file if it is new."""
        if covered == length and len(piece.extents) == 1:
            data = piece.extents[0].data or b""
        else:
            data = self._compose(piece, length, covered)
        if data == _ZEROS[:length]:
            return ZERO, 0
        digest = self._repository.codec.name_chunk(data)
        # First, so that the chunk is not removed after it was found.
        self._claim(digest)
        if self._repository.has_chunk(digest):
            return digest, 0
        return digest, self._repository.put_chunk(digest, data)

    def _compose(self, piece: _Piece, length: int, covered: int) -> bytes:
        content = bytearray(length)
        if covered < length:
            if self._base is None:
                raise _incomplete()
            content[:] = self._repository.get_chunk(self._base[piece.index], length)
        for each in piece.extents:
            content[each.offset : each.offset + each.length] = each.data or bytes(each.length)
        return bytes(content)

    def _collect(self, count: int) -> None:
        done, self._pending = self._pending[:count], self._pending[count:]
        for index, work in done:
            self._chunks[index], written = work.result()
            self._written += written

    def finish_disk(self) -> WrittenDisk:
        """Return the disk when all its chunks are stored.

        :raises Failed: an area is missing, or the repository cannot be written.
        """
        if self._piece is not None:
            self._store_piece()
        self._collect(len(self._pending))
        chunks = tuple(each for each in self._chunks if each is not None)
        if len(chunks) < len(self._lengths):
            raise _incomplete()
        return WrittenDisk(self._size, chunks, self._read, self._written, self._changes)

    def end_threads(self) -> None:
        """End the threads; what they have not begun is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _incomplete() -> Failed:
    return Failed("areas of the disk were not sent", Code.ENVIRONMENT)
