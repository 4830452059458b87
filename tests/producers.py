"""Producers of event streams: some that end, one that does not, and one that fails."""

from tether.stream import EventSink


async def counting(sink: EventSink[int], to: int = 5) -> str:
    for number in range(to):
        await sink.send(number)
    return "counted"


async def hundred(sink: EventSink[int]) -> str:
    return await counting(sink, 100)


async def thousand(sink: EventSink[int]) -> str:
    return await counting(sink, 1000)


async def endless(sink: EventSink[int]) -> None:
    number = 0
    while True:
        await sink.send(number)
        number += 1


async def failing(sink: EventSink[int]) -> None:
    await sink.send(1)
    raise LookupError("producer")
