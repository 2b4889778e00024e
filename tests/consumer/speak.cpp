// SPDX-License-Identifier: Apache-2.0
// speak_cpp BUNDLE VOICE SPEED TEXT: samples as float32 to standard output, words to standard error.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <koe/engine.hpp>

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    const koe::Engine engine = koe::Engine::open(argv[1]);
    koe::SpeechOptions how;
    how.voice = argv[2];
    how.speed = std::atof(argv[3]);
    const koe::Speech speech = engine.synthesize(argv[4], how);
    std::fwrite(speech.samples.data(), sizeof(float), speech.samples.size(), stdout);
    for (const koe::Word& word : speech.words) {
      std::fprintf(stderr, "%.17g\t%.17g\t%zu\t%zu\t%s\n", word.start_s, word.end_s, word.begin, word.end, word.text.c_str());
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
