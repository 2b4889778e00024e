// SPDX-License-Identifier: Apache-2.0
// own_parts BUNDLE: an app's own acoustic model and G2P in place of ONNX Runtime and espeak-ng, neither of which is needed.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>

#include <koe/engine.hpp>
#include <koe/error.hpp>

namespace {

/// Four frames a token, of an even pitch.
class Hum final : public koe::AcousticModel {
 public:
  koe::AcousticFrames run(std::span<const std::int64_t> ids, std::span<const float>, float) const override {
    const std::size_t n_tokens = ids.size() + 2, n_frames = 4 * n_tokens;
    return {std::vector<float>(512 * n_frames, 0.1F), std::vector<float>(2 * n_frames, 200.0F),
            std::vector<float>(2 * n_frames, 0.5F), std::vector<std::int64_t>(n_tokens, 4)};
  }
};

class Spelling final : public koe::G2p {
 public:
  koe::Phonemes phonemize(std::string_view text, std::string_view language) const override {
    if (language != "en-us") throw koe::Error("only American English", koe::ErrorKind::kG2p);
    return {std::string(text), {{0, text.size(), 0, text.size()}}, ""};
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  koe::EngineOptions options;
  options.acoustic_model = std::make_shared<Hum>();
  options.g2p = std::make_shared<Spelling>();
  options.trim = false;
  const koe::Engine engine = koe::Engine::open(argv[1], options);
  const koe::Speech speech = engine.synthesize("hum", {.voice = "af_bella"});
  std::printf("%zu %zu %s %.3f %.3f\n", speech.samples.size(), speech.words.size(), speech.words[0].text.c_str(),
              speech.words[0].start_s, speech.words[0].end_s);
  try {
    (void)engine.synthesize("hum", {.voice = "af_bella", .language = "en-gb"});
  } catch (const koe::Error& error) {
    std::printf("%d %s\n", error.kind() == koe::ErrorKind::kG2p, error.what());
  }
  try {
    engine.stream("hum", {.voice = "af_bella"}, [](koe::Speech&&) -> bool { throw std::logic_error("of the app's own"); });
  } catch (const std::logic_error& error) {
    std::printf("%s\n", error.what());
  }
  return 0;
}
