# SPDX-License-Identifier: Apache-2.0
"""`python -m koe` is the command `koe`."""

from koe.cli import main

if __name__ == "__main__":
    main()
