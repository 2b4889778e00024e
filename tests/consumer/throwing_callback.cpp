// SPDX-License-Identifier: Apache-2.0
// throwing_callback BUNDLE PHONEMES: a callback that throws gives a status, and the engine still works.
#include <cstdio>
#include <stdexcept>

#include <koe.h>

namespace {

int32_t fail(const koe_speech*, void*) { throw std::runtime_error("of its own"); }

int32_t count(const koe_speech* piece, void* n_samples) {
  *static_cast<size_t*>(n_samples) += piece->n_samples;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  koe_engine* engine = nullptr;
  koe_request request;
  koe_request_init(&request, sizeof request);
  request.phonemes = argv[2];
  if (koe_open(argv[1], nullptr, &engine) != KOE_OK) return 3;
  const koe_status status = koe_stream(engine, &request, fail, nullptr);
  std::printf("%d %s\n", static_cast<int>(status), koe_last_error());
  size_t n_samples = 0;
  const koe_status again = koe_stream(engine, &request, count, &n_samples);
  std::printf("%d %d\n", static_cast<int>(again), n_samples > 0);
  koe_free(engine);
  return 0;
}
