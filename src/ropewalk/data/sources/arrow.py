"""Arrow files and streams, as Hugging Face `datasets` saves them: a folder with `state.json` is read in the order that it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from ropewalk.data.records import Rejected
from ropewalk.data.sources.damage import CorruptFile
from ropewalk.data.sources.file_source import Parsed, Piece, RecordFiles, file_size, rejected
from ropewalk.data.sources.found import fault
from ropewalk.data.sources.table_rows import bounded, records_of

if TYPE_CHECKING:
    import pyarrow as pa

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"


class Arrow(RecordFiles, type="arrow"):
    """Arrow files and streams, such as a folder that `save_to_disk` of Hugging Face datasets made; no package is needed for it."""

    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".feather")

    def parse(self, piece: Piece) -> Iterator[Parsed | Rejected]:
        """A record a row, numbered from 1."""
        import pyarrow as pa

        if wrong := fault(piece.file.path):
            raise CorruptFile(wrong)
        if not file_size(piece.file):
            return
        number = 0
        try:
            with pa.memory_map(str(piece.file.path)) as file:
                whole = file.read(len(FILE_MAGIC)) == FILE_MAGIC
                file.seek(0)
                with pa.ipc.open_file(file) if whole else pa.ipc.open_stream(file) as reader:
                    self.fields().check(reader.schema.names, piece.file.path)
                    for batch in _batches(reader, whole):
                        for part, _ in bounded(batch):
                            for row in records_of(part):
                                number += 1
                                yield Parsed(row, number) if isinstance(row, dict) else rejected(piece, number, row, b"")
        except (pa.ArrowException, OSError) as error:
            raise CorruptFile(f"damaged Arrow file: {str(error).splitlines()[0]}") from None


def _batches(reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader, whole: bool) -> Iterator[pa.RecordBatch]:
    if whole:
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        yield from reader
