"""Several logs read as one, in the order in which the brokers appended their records."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from heapq import heapify, heappop, heapreplace

from pipeline.application.ports import Record

_END = 1 << 62


async def in_append_order(
    logs: Sequence[AsyncIterator[Sequence[Record]]],
) -> AsyncIterator[tuple[int, Sequence[Record]]]:
    """The records of all logs with the place of theirs, in runs of one log each; a log's own order is kept.

    Holds one piece of each log in memory, and waits for the log that comes next, however slow it is.
    """
    pieces = [await _next_piece(log) for log in logs]
    starts = [0] * len(logs)
    heads = [(piece[0].timestamp, place) for place, piece in enumerate(pieces) if piece]
    heapify(heads)
    while heads:
        _, place = heads[0]
        piece, start = pieces[place], starts[place]
        until = min(heads[1:3])[0] if len(heads) > 1 else _END
        if piece[-1].timestamp <= until:
            end = len(piece)
        else:
            end = max(start + 1, bisect_right(piece, until, start, key=lambda record: record.timestamp))
        yield place, piece if (start, end) == (0, len(piece)) else piece[start:end]
        if end == len(piece):
            piece = pieces[place] = await _next_piece(logs[place])
            end = 0
        starts[place] = end
        if piece:
            heapreplace(heads, (piece[end].timestamp, place))
        else:
            heappop(heads)


async def _next_piece(log: AsyncIterator[Sequence[Record]]) -> Sequence[Record]:
    """Never empty but at the end. (With a tuple as its default, `anext` fails on Python 3.11.)"""
    async for piece in log:
        if piece:
            return piece
    return ()
