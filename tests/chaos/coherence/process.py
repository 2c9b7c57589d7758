"""How each process of the checker begins."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Final

from cachekeeper.errors import CachekeeperError
from tests.chaos.coherence import removed

#: The exit status of a process that is itself at fault: nobody may take it for a victim.
BROKEN: Final = 70


def begin() -> None:
    """Take out what is to be missing; and end with any thread that ends by an error."""
    removed.apply()
    threading.excepthook = lambda hook: _end(hook.exc_value)
    sys.excepthook = lambda _, error, __: _end(error)


def _end(error: BaseException | None) -> None:
    traceback.print_exception(error)
    sys.stderr.flush()
    # The server may be away just when a process starts: then it is started again.
    os._exit(1 if isinstance(error, CachekeeperError) else BROKEN)
