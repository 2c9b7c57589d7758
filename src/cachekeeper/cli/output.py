"""Where a command writes what is for other programs."""

from __future__ import annotations

from collections.abc import Iterable

import click

from cachekeeper.errors import InvalidInput

output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    show_default="standard output",
    help="Where to write.",
)


def write(output: str, lines: Iterable[str]) -> None:
    """Write lines as they are made. Raises InvalidInput."""
    try:
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except BrokenPipeError:  # whoever reads it has read enough
        raise
    except OSError as error:
        allowed = f"a file that can be written ({error.strerror})"
        raise InvalidInput("output", output, allowed) from error
