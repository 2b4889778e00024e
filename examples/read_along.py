# SPDX-License-Identifier: Apache-2.0
"""Tell which word is being heard, in asyncio: pieces come from a stream of tokens, and each word has its time.

python examples/read_along.py "A text to be read along."
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import koe


async def tokens(text: str) -> AsyncIterator[str]:
    """Stands for a language model."""
    for word in text.split(" "):
        await asyncio.sleep(0.01)
        yield word + " "


async def main() -> None:
    text = sys.argv[1]
    with koe.KokoroTTS() as tts:
        async with tts.stream(tokens(text)) as stream:
            async for piece in stream:
                # Here an app hands piece.samples to its player.
                for word in piece.words:
                    print(f"{word.start:7.2f} s  {word.display}  (characters {word.char_start} to {word.char_end})")


if __name__ == "__main__":
    asyncio.run(main())
