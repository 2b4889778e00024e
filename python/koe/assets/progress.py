# SPDX-License-Identifier: Apache-2.0
"""Progress of long steps: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Progress(Protocol):
    """Told what is being done and how far it is."""

    def task(self, label: str, total: int | None, /) -> AbstractContextManager[Callable[[int], None]]:
        """Begin a step.

        Args:
            label: What the step is about.
            total: Its size in the step's own units, None where that is not known.

        Returns:
            A context whose value advances the step by so many units.
        """


class Silence:
    """Shows nothing."""

    @contextmanager
    def task(self, label: str, total: int | None, /) -> Iterator[Callable[[int], None]]:
        yield lambda units: None


class TerminalBar:
    """Draws bars on standard error; they vanish when their step ends."""

    @contextmanager
    def task(self, label: str, total: int | None, /) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=total)
            yield lambda units: bars.advance(task, units)


def terminal_progress(show: bool | None = None) -> Progress:
    """Progress for this process.

    Args:
        show: True and False decide; None shows a bar where standard error is a terminal.
    """
    if show is None:
        show = sys.stderr is not None and sys.stderr.isatty()
    return TerminalBar() if show else Silence()
