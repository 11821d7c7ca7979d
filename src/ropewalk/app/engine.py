"""The thread that computes: requests of many clients are written in one batch, and their pieces handed back to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from ropewalk.core.errors import RopewalkError, typed
from ropewalk.core.log import LOGGER
from ropewalk.evaluate.writer import Piece, Writer
from ropewalk.models.sampling import Sampling

Asked = Sequence[tuple[Sequence[int], Sampling]]
Deliver = Callable[[Piece | Exception], None]


class Overloaded(RopewalkError):
    """More answers wait than the server was told to hold."""


class Engine:
    """Owns the writer: only its thread touches it. `stream` may be called from any event loop."""

    def __init__(self, writer: Writer, most_waiting: int = 64) -> None:
        self._writer, self._most = writer, most_waiting
        self._changed = threading.Condition()
        self._todo: list[Callable[[], None]] = []
        self._open: dict[int, tuple[int, Deliver]] = {}  # number of the writer's -> (place in its request, where it goes)
        self._promised = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ropewalk-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the current step; whoever waits gets an error."""
        self._post(lambda: setattr(self, "_stopping", True))
        if self._thread.is_alive():
            self._thread.join()

    async def stream(self, asked: Asked) -> AsyncIterator[Piece]:
        """The pieces of these prompts, numbered from 0; leaving early cancels them. Raises Overloaded, or what computing raised."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Piece | Exception] = asyncio.Queue()

        def deliver(item: Piece | Exception) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        with self._changed:
            if self._stopping:
                raise Overloaded("the server is stopping")
            if self._promised + len(asked) > self._most:
                raise Overloaded(f"{self._promised} answers are being written or wait; {self._most} are the most")
            self._promised += len(asked)
        numbers: list[int] = []
        self._post(lambda: self._add(asked, numbers, deliver))
        left = len(asked)
        try:
            while left:
                item = await arrived.get()
                if isinstance(item, Exception):
                    raise item
                left -= bool(item.finish)
                yield item
        finally:
            with self._changed:
                self._promised -= len(asked)
            self._post(lambda: self._cancel(numbers))

    def _post(self, action: Callable[[], None]) -> None:
        with self._changed:
            self._todo.append(action)
            self._changed.notify()

    def _add(self, asked: Asked, numbers: list[int], deliver: Deliver) -> None:
        try:
            for place, (ids, sampling) in enumerate(asked):
                number = self._writer.add(ids, sampling)
                numbers.append(number)
                self._open[number] = (place, deliver)
        except RopewalkError as error:
            self._cancel(numbers)
            deliver(error)

    def _cancel(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if self._open.pop(number, None) is not None:
                self._writer.cancel(number)

    def _run(self) -> None:
        while not self._stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._todo or self._writer.busy)
                todo, self._todo = self._todo, []
            for action in todo:
                action()
            if self._writer.busy and not self._stopping:
                self._step()
        self._fail(Overloaded("the server is stopping"))

    def _step(self) -> None:
        try:
            pieces = self._writer.step()
        except Exception as error:  # whatever it is, other requests must be answered
            LOGGER.exception("writing failed")
            self._fail(typed(error, "serve") or error)
            return
        for piece in pieces:
            place, deliver = self._open[piece.number]
            if piece.finish:
                del self._open[piece.number]
            deliver(Piece(place, piece.text, piece.finish, piece.tokens))

    def _fail(self, error: Exception) -> None:
        for _, deliver in self._open.values():
            deliver(error)
        self._cancel(list(self._open))
