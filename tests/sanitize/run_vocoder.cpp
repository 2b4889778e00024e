// SPDX-License-Identifier: Apache-2.0
// run_vocoder BUNDLE INPUTS OUTPUT [ISA PRECISION]...
//
// One vocoder for each pair of table and precision, with three threads, called by two threads at once. INPUTS is a file of
// float32: asr [512, T], f0 [2T], n [2T], style [128] one behind the other. All samples go to OUTPUT, in the pairs' order.
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "koe/bundle.hpp"
#include "koe/vocoder.hpp"

namespace {

std::vector<float> read_floats(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (!file || bytes.empty()) throw std::runtime_error(std::string("can't read ") + path);
  std::vector<float> values(bytes.size() / sizeof(float));
  bytes.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(float));
  return values;
}

std::vector<float> speak(koe::Vocoder& vocoder, std::span<const float> inputs) {
  const std::size_t channels = vocoder.asr_channels();
  const std::size_t frames = (inputs.size() - vocoder.style_size()) / (channels + 4);
  const auto take = [&](std::size_t n) {
    const auto part = inputs.first(n);
    inputs = inputs.subspan(n);
    return part;
  };
  const auto asr = take(channels * frames);
  const auto f0 = take(2 * frames);
  const auto n = take(2 * frames);
  return vocoder.synthesize(asr, f0, n, take(vocoder.style_size()));
}

int run(int argc, char** argv) {
  if (argc < 6 || argc % 2 != 0) {
    std::fprintf(stderr, "usage: run_vocoder BUNDLE INPUTS OUTPUT [ISA PRECISION]...\n");
    return 2;
  }
  const koe::Bundle bundle(argv[1]);
  const std::vector<float> inputs = read_floats(argv[2]);
  std::ofstream output(argv[3], std::ios::binary);
  for (int i = 4; i < argc; i += 2) {
    koe::Vocoder vocoder(bundle, {.threads = 3, .isa = argv[i], .precision = koe::parse_precision(argv[i + 1]), .noise_seed = 1});
    std::array<std::vector<float>, 2> samples;
    {
      std::jthread other([&] { samples[1] = speak(vocoder, inputs); });
      samples[0] = speak(vocoder, inputs);
    }
    if (samples[0] != samples[1]) throw std::runtime_error("two calls at once gave different samples");
    output.write(reinterpret_cast<const char*>(samples[0].data()),
                 static_cast<std::streamsize>(samples[0].size() * sizeof(float)));
  }
  output.close();
  if (!output) throw std::runtime_error(std::string("can't write ") + argv[3]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
