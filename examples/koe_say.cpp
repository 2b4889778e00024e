// SPDX-License-Identifier: Apache-2.0
// koe-say: text to a WAV file, or to raw PCM on standard output as it is spoken.
//
//     koe-say -m kokoro.gguf -v af_bella -o hello.wav "Hello there."
//     koe-say -m kokoro.gguf --raw < book.txt | aplay -f S16_LE -r 24000
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#endif

#include <koe/engine.hpp>
#include <koe/wav.hpp>

namespace {

constexpr std::string_view kUsage =
    "koe-say -m BUNDLE [options] [TEXT ...]\n"
    "Speaks TEXT, or else what comes on standard input.\n"
    "  -m, --model FILE        the bundle that `koe prepare` wrote; else KOE_MODEL\n"
    "  -o, --output FILE       a WAV file (speech.wav); - for standard output\n"
    "      --raw               raw 16-bit little-endian samples, 24 kHz mono, to standard output as they come\n"
    "  -v, --voice VOICE       a name, or a mix such as af_bella:0.6,af_sarah:0.4 (af)\n"
    "  -s, --speed N           0.25 to 4 (1)\n"
    "  -l, --language CODE     en-us, en-gb, es, fr-fr, hi, it, pt-br (the voice's)\n"
    "  -p, --phonemes          the text is phonemes\n"
    "      --voices PATH       a folder, archive or file of voices beside the bundle's own\n"
    "      --list-voices       list the voices and end\n"
    "      --words             list words with their times on standard error\n"
    "  -t, --threads N         0 for all (0)\n"
    "      --onnxruntime FILE  ONNX Runtime's shared library; else KOE_ONNXRUNTIME or the system's\n"
    "      --espeak FILE       espeak-ng's shared library; else KOE_ESPEAK or the system's\n";

struct Arguments {
  std::string model;
  std::string output = "speech.wav";
  std::string text;
  bool is_raw = false;
  bool list_voices = false;
  bool words = false;
  koe::EngineOptions engine;
  koe::SpeechOptions speech;
};

double number(const std::string& text) {
  std::size_t end = 0;
  const double value = std::stod(text, &end);
  if (end != text.size()) throw std::invalid_argument(text);
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  if (const char* model = std::getenv("KOE_MODEL")) out.model = model;
  bool is_over = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto is = [&](std::string_view a, std::string_view b = {}) { return option == a || option == b; };
    const auto value = [&]() -> std::string {
      if (++i == argc) throw std::invalid_argument(option + " needs a value");
      return argv[i];
    };
    if (is_over || option[0] != '-') out.text += (out.text.empty() ? "" : " ") + option;
    else if (is("--")) is_over = true;
    else if (is("-h", "--help")) throw std::invalid_argument("");
    else if (is("-m", "--model")) out.model = value();
    else if (is("-o", "--output")) out.output = value();
    else if (is("--raw")) out.is_raw = true;
    else if (is("-v", "--voice")) out.speech.voice = value();
    else if (is("-s", "--speed")) out.speech.speed = number(value());
    else if (is("-l", "--language")) out.speech.language = value();
    else if (is("-p", "--phonemes")) out.speech.is_phonemes = true;
    else if (is("--voices")) out.engine.voices = value();
    else if (is("--list-voices")) out.list_voices = true;
    else if (is("--words")) out.words = true;
    else if (is("-t", "--threads")) out.engine.threads = static_cast<std::size_t>(number(value()));
    else if (is("--onnxruntime")) out.engine.onnxruntime = value();
    else if (is("--espeak")) out.engine.espeak = value();
    else throw std::invalid_argument("unknown option " + option);
  }
  if (out.model.empty()) throw std::invalid_argument("no model: give one with -m");
  return out;
}

void write(const void* data, std::size_t size) {
  if (std::fwrite(data, 1, size, stdout) != size || std::fflush(stdout) != 0) {
    throw std::runtime_error("standard output can't be written");
  }
}

void write_pcm(const std::vector<float>& samples) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(2 * samples.size());
  for (const float sample : samples) {
    const auto value = static_cast<std::int16_t>(std::lround(std::clamp(32'767.0 * sample, -32'768.0, 32'767.0)));
    bytes.push_back(static_cast<std::uint8_t>(value & 0xFF));
    bytes.push_back(static_cast<std::uint8_t>((value >> 8) & 0xFF));
  }
  write(bytes.data(), bytes.size());
}

void show_words(const koe::Speech& speech) {
  for (const koe::Word& word : speech.words) {
    std::fprintf(stderr, "%8.3f %8.3f  %s\n", speech.start_s + word.start_s, speech.start_s + word.end_s, word.text.c_str());
  }
}

void run(Arguments& arguments) {
  const koe::Engine engine = koe::Engine::open(arguments.model, arguments.engine);
  if (arguments.list_voices) {
    for (const std::string& name : engine.voices()) std::cout << name << '\n';
    return;
  }
  if (arguments.text.empty()) arguments.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  std::vector<float> samples;
  engine.stream(arguments.text, arguments.speech, [&](koe::Speech&& piece) {
    if (arguments.words) show_words(piece);
    if (!piece.dropped.empty()) std::fprintf(stderr, "koe-say: left out: %s\n", piece.dropped.c_str());
    if (arguments.is_raw) {
      write_pcm(piece.samples);
    } else {
      samples.insert(samples.end(), piece.samples.begin(), piece.samples.end());
    }
    return true;
  });
  if (arguments.is_raw) return;
  if (arguments.output == "-") {
    const auto wav = koe::encode_wav(samples, koe::kSampleRateHz);
    write(wav.data(), wav.size());
  } else {
    koe::write_wav(arguments.output, samples, koe::kSampleRateHz);
  }
}

}  // namespace

int main(int argc, char** argv) {
#if defined(_WIN32)
  _setmode(_fileno(stdout), _O_BINARY);
#endif
  Arguments arguments;
  try {
    arguments = parse(argc, argv);
  } catch (const std::exception& error) {
    if (*error.what()) std::fprintf(stderr, "koe-say: %s\n", error.what());
    std::cerr << kUsage;
    return *error.what() ? 2 : 0;
  }
  try {
    run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "koe-say: %s\n", error.what());
    return 1;
  }
  return 0;
}
