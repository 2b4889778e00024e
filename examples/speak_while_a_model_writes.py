# SPDX-License-Identifier: Apache-2.0
"""Speak the answer of any server with OpenAI's interface while it is being written.

    python examples/speak_while_a_model_writes.py "Why is the sky blue?" answer.wav --url http://localhost:8080/v1

Needs the package openai. The sound goes to a file here; koe.live.SoundCard() plays it.
"""

import argparse
import os
import time

import openai

import koe
from koe.live import WavFileSink


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("output")
    parser.add_argument("--url", default="http://localhost:8080/v1")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()

    client = openai.OpenAI(base_url=options.url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    answer = client.chat.completions.create(
        model=options.model, messages=[{"role": "user", "content": options.question}], stream=True
    )
    with koe.KokoroTTS() as tts, tts.speaker(WavFileSink(options.output)) as speaker:
        start = time.monotonic()
        for chunk in answer:
            if speaker(chunk, time.monotonic() - start):
                break  # cancelled: let the model stop
    print(options.output)


if __name__ == "__main__":
    main()
