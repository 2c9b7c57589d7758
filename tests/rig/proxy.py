"""Ports in front of the server, one a process, each of which can be cut off, held up or slowed.

A gate that is held delivers what it took when it opens again, even of a connection that its client
has given up meanwhile: that is what a network does that loses packets for a while.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK = 1 << 16


class Mode(Enum):
    """What a gate does."""

    OPEN = "open"
    REFUSED = "refused"  # connections are reset, new ones too
    HELD = "held"  # nothing gets through, nobody is told
    STRANDED = "stranded"  # the same for the connections there are; new ones get through


class Gate:
    """One port; its state belongs to the proxy's thread."""

    def __init__(self) -> None:
        self.port = 0
        self.mode = Mode.OPEN
        self.delay_s = 0.0
        self.open = asyncio.Event()  # of connections that are made now
        self.open.set()
        self.stranded: list[asyncio.Event] = []
        self.sides: set[asyncio.StreamWriter] = set()

    def set(self, mode: Mode, delay_s: float) -> None:
        """Change what it does."""
        self.mode, self.delay_s = mode, delay_s
        if mode is Mode.REFUSED:
            for side in self.sides:
                side.transport.abort()
        if mode in (Mode.HELD, Mode.STRANDED):
            self.open.clear()
        else:
            for opened in (*self.stranded, self.open):
                opened.set()
            self.stranded.clear()
        if mode is Mode.STRANDED:
            self.stranded.append(self.open)
            self.open = asyncio.Event()
            self.open.set()


class Proxy:
    """All gates, in a thread of their own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._gates: dict[str, Gate] = {}
        self._servers: list[asyncio.Server] = []

    def add(self, name: str) -> int:
        """A new gate; returns its port."""
        return asyncio.run_coroutine_threadsafe(self._add(name), self._loop).result(5)

    def set(self, name: str, mode: Mode, delay_s: float = 0.0) -> None:
        """Change what a gate does."""
        self._loop.call_soon_threadsafe(self._gates[name].set, mode, delay_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _add(self, name: str) -> int:
        gate = self._gates[name] = Gate()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(gate, reader, writer)

        server = await asyncio.start_server(serve, HOST, 0)
        self._servers.append(server)
        gate.port = int(server.sockets[0].getsockname()[1])
        return gate.port

    async def _serve(
        self, gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if gate.mode is Mode.REFUSED:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        sides = {writer, far_writer}
        gate.sides |= sides
        try:
            await asyncio.gather(_pump(gate, reader, far_writer), _pump(gate, far_reader, writer))
        finally:
            gate.sides -= sides
            for side in sides:
                side.transport.abort()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _pump(gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    opened = gate.open
    try:
        while chunk := await reader.read(CHUNK):
            await opened.wait()
            if gate.delay_s:
                await asyncio.sleep(gate.delay_s)
            writer.write(chunk)
            await writer.drain()
        await opened.wait()
    except OSError:
        pass
    finally:
        writer.close()
