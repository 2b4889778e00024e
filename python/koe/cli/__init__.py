# SPDX-License-Identifier: Apache-2.0
"""The command `koe`."""

import os
import sys

DEBUG_VARIABLE = "KOE_DEBUG"


def main() -> None:
    """Runs the command: exit status 0, 1 for an error, 2 for wrong usage; `KOE_DEBUG=1` shows an error's place."""
    # NumPy's OpenBLAS starts threads that spin for a while, just when the model is loaded, and nothing here needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from koe.cli.app import app

    try:
        app()
    except BrokenPipeError:
        # The reader of a pipe has gone; Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            raise
        print(f"koe: {_message(error)}", file=sys.stderr)
        sys.exit(1)


def _message(error: Exception) -> str:
    from koe.errors import TTSError

    if isinstance(error, (TTSError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of koe's; {DEBUG_VARIABLE}=1 shows where)"
