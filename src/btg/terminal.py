"""What the terminal shows: tables and progress; plain text where there is no terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

GOOD = ("current", "seed")


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], colour_column: int | None = None
) -> None:
    """Print a table; text of a source is shown as it is, never as markup."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    grid = RichTable(box=None, pad_edge=False)
    for name in header:
        grid.add_column(name, overflow="fold")
    for row in rows:
        cells = [Text(_printable(cell)) for cell in row]
        if colour_column is not None:
            good = row[colour_column] in GOOD
            cells[colour_column].stylize("green" if good else "bold red")
        grid.add_row(*cells)
    console.print(grid)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Give a function that tells what is being done: a bar on a terminal, else nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("start", total=None)
        yield lambda text: bar.update(task, description=_printable(text))


def _printable(text: str) -> str:
    """Return one line without control characters, so that no source can drive the terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text))
