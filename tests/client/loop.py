"""An event loop for a test: it ends, or the test fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

BOUND_S: Final = 20.0  # what does not end within it hangs

Result = TypeVar("Result")


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """Run a test on a loop of its own; one that hangs fails."""

    async def bounded() -> Result:
        async with asyncio.timeout(BOUND_S):
            return await main()

    return asyncio.run(bounded())
