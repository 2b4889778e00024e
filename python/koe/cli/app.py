# SPDX-License-Identifier: Apache-2.0
"""The commands and their options; each imports what it needs when it runs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Speaks text with Kokoro-82M on this machine.",
)


class DeviceName(StrEnum):
    """What the vocoder runs on."""

    CPU = "cpu"
    METAL = "metal"


Text = Annotated[str | None, typer.Argument(help="What to say; - reads standard input.", show_default=False)]
TextFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Read the text from a file, UTF-8.", show_default=False)
]
VoiceName = Annotated[str, typer.Option("--voice", "-v", help='A voice, or a mix: "af_bella:0.6,af_sarah:0.4".')]
LanguageCode = Annotated[
    str | None,
    typer.Option("--language", "-l", help="en-us, en-gb, es, fr-fr, hi, it, pt-br.", show_default="the voice's"),
]
Speed = Annotated[float, typer.Option("--speed", "-s", help="0.25 to 4; 2 is twice as fast.")]
Model = Annotated[Path | None, typer.Option("--model", help="An ONNX export or a bundle.", show_default="koe's own")]
Voices = Annotated[
    Path | None, typer.Option("--voices", help="A folder, archive or file of voices.", show_default="koe's own")
]
Threads = Annotated[int, typer.Option("--threads", "-t", help="0 for all cores.")]
Isa = Annotated[str, typer.Option("--isa", help="Kernel table, see koe info.", show_default="the fastest")]
Device = Annotated[DeviceName, typer.Option("--device", help="What the vocoder runs on; metal is an Apple GPU.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, float32, float16, bfloat16, int8.")]


def _version(asked: bool) -> None:
    if asked:
        import koe

        typer.echo(f"koe {koe.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Speaks text with Kokoro-82M on this machine."""


@app.command()
def speak(
    text: Text = None,
    file: TextFile = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file: .wav, .flac, .mp3, .ogg or .opus; - for WAV on standard output.",
            show_default="speech.wav",
        ),
    ] = None,
    play: Annotated[bool, typer.Option("--play", help="Play on the sound card.")] = False,
    pcm: Annotated[bool, typer.Option("--pcm", help="With -o -: raw 16-bit samples, 24 kHz mono.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown/--plain", help="Of standard input: leave out Markdown's marks and code blocks.")
    ] = True,
    voice: VoiceName = "af",
    speed: Speed = 1.0,
    language: LanguageCode = None,
    model: Model = None,
    voices: Voices = None,
    threads: Threads = 0,
    isa: Isa = "",
    precision: Precision = "auto",
    device: Device = DeviceName.CPU,
) -> None:
    """Speak a text into a sound file, or play it; standard input is spoken as it comes."""
    from koe.cli.speak import read_text, speak_to_file
    from koe.config import Config

    if play and output is not None:
        raise typer.BadParameter("give either --play or --output")
    is_output_standard = output == Path("-")
    if pcm and not is_output_standard:
        raise typer.BadParameter("--pcm goes with -o -")
    is_live = text == "-" and file is None
    content = None if is_live else read_text(text, file)
    target = output or Path("speech.wav")
    config = Config(
        model_path=model,
        voicepack_path=voices,
        use_metal_acceleration=device is DeviceName.METAL,
        threads=threads,
        isa=isa,
        precision=precision,
    )
    if content is None or play or is_output_standard:
        from koe.cli.live import speak_live

        is_markdown = markdown and content is None
        speak_live(config, content, None if play else target, voice, language, speed, pcm, is_markdown)
    else:
        speak_to_file(config, content, target, voice, language, speed)


@app.command("voices")
def list_voices(voices: Voices = None) -> None:
    """List the voices that can be had."""
    from koe.cli.show import show_voices

    show_voices(voices)


@app.command()
def phonemize(
    text: Text = None,
    file: TextFile = None,
    language: LanguageCode = None,
    voice: VoiceName = "af",
    rules: Annotated[str, typer.Option("--rules", help="Phoneme rules of the model: 1.0 or 0.19.")] = "1.0",
    words: Annotated[bool, typer.Option("--words", help="One word a line, with its phonemes.")] = False,
) -> None:
    """Show a text's phonemes."""
    from koe.cli.speak import read_text, show_phonemes

    show_phonemes(read_text(text, file), language, voice, rules, words)


@app.command()
def prepare(
    model: Annotated[Path, typer.Argument(help="An ONNX export of Kokoro-82M.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The bundle.", show_default="beside the model")
    ] = None,
    model_version: Annotated[
        str | None, typer.Option("--model-version", help="1.0 or 0.19.", show_default="as the model says")
    ] = None,
    voices: Annotated[
        str,
        typer.Option("--voices", help='Voices to put in: names with commas between, or "all".', show_default="none"),
    ] = "",
) -> None:
    """Turn an ONNX export into a bundle, the form that koe loads."""
    from koe.cli.files import prepare_model

    prepare_model(model, output, model_version, voices)


@app.command()
def fetch(
    voices: Annotated[str, typer.Option("--voices", help='Names with commas between, or "all".')] = "af_bella,af_sarah",
    model: Annotated[bool, typer.Option("--model/--no-model", help="Fetch and prepare the model too.")] = True,
) -> None:
    """Fetch the model and voices ahead of time."""
    from koe.cli.files import fetch_files

    fetch_files(voices, model)


@app.command()
def info(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Show versions, the processor, the kernels in use, and where the model and voices are."""
    from koe.cli.show import show_info

    show_info(json)


@app.command()
def bench(
    text: Text = None,
    file: TextFile = None,
    voice: VoiceName = "af",
    runs: Annotated[int, typer.Option("--runs", help="The fastest of so many counts.", min=1)] = 3,
    model: Model = None,
    voices: Voices = None,
    threads: Threads = 0,
    isa: Isa = "",
    precision: Precision = "auto",
    device: Device = DeviceName.CPU,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Measure how fast this machine speaks, and where the time goes."""
    from koe.cli.show import show_bench
    from koe.cli.speak import read_text
    from koe.config import Config

    config = Config(
        model_path=model,
        voicepack_path=voices,
        use_metal_acceleration=device is DeviceName.METAL,
        threads=threads,
        isa=isa,
        precision=precision,
        phoneme_cache_size=0,
    )
    content = read_text(text, file) if text is not None or file is not None else None
    show_bench(config, content, voice, runs, json)
