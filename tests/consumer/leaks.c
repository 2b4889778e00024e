/* SPDX-License-Identifier: Apache-2.0 */
/* leaks BUNDLE PHONEMES N: opens, speaks, makes every kind of mistake and closes N times. Run it under a leak checker. */
#include <stdio.h>
#include <stdlib.h>

#include <koe.h>

static int32_t stop(const koe_speech* piece, void* user_data) {
  (void)piece;
  (void)user_data;
  return 0;
}

static int once(const char* bundle, const char* phonemes) {
  koe_engine* engine = NULL;
  koe_speech* speech = NULL;
  koe_names* names = NULL;
  koe_options options;
  koe_request request;
  koe_options_init(&options, sizeof options);
  koe_request_init(&request, sizeof request);
  options.threads = 1;
  request.phonemes = phonemes;
  if (koe_open("/nowhere.gguf", &options, &engine) != KOE_MODEL_NOT_FOUND) return 1;
  options.isa = "none";
  if (koe_open(bundle, &options, &engine) != KOE_INVALID_ARGUMENT) return 2;
  options.isa = NULL;
  options.onnxruntime = "/nowhere/onnxruntime.so";
  if (koe_open(bundle, &options, &engine) != KOE_RUNTIME_NOT_FOUND) return 3;
  options.onnxruntime = NULL;
  if (koe_open(bundle, &options, &engine) != KOE_OK) return 4;
  if (koe_synthesize(engine, &request, &speech) != KOE_OK || speech->n_samples == 0) return 5;
  koe_free(speech);
  if (koe_stream(engine, &request, stop, NULL) != KOE_STOPPED) return 6;
  if (koe_voices(engine, &names) != KOE_OK) return 7;
  koe_free(names);
  request.voice = "nobody";
  if (koe_synthesize(engine, &request, &speech) != KOE_VOICE_NOT_FOUND || speech != NULL) return 8;
  koe_free(engine);
  return 0;
}

int main(int argc, char** argv) {
  int i, failure;
  if (argc != 4) return 100;
  for (i = 0; i < atoi(argv[3]); ++i) {
    if ((failure = once(argv[1], argv[2])) != 0) {
      fprintf(stderr, "step %d: %s\n", failure, koe_last_error());
      return failure;
    }
  }
  return 0;
}
