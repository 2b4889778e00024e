/* SPDX-License-Identifier: Apache-2.0 */
/* speak_c BUNDLE VOICE SPEED TEXT: samples as float32 to standard output as they come, words to standard error. */
#include <stdio.h>
#include <stdlib.h>

#include <koe.h>

static int32_t write_piece(const koe_speech* piece, void* user_data) {
  size_t i;
  fwrite(piece->samples, sizeof(float), piece->n_samples, (FILE*)user_data);
  for (i = 0; i < piece->n_words; ++i) {
    const koe_word* word = &piece->words[i];
    fprintf(stderr, "%.17g\t%.17g\t%lu\t%lu\t%s\n", word->start_s + piece->start_s, word->end_s + piece->start_s,
            (unsigned long)word->begin, (unsigned long)word->end, word->text);
  }
  return 1;
}

int main(int argc, char** argv) {
  koe_engine* engine = NULL;
  koe_request request;
  koe_status status;
  if (argc != 5) return 2;
  koe_request_init(&request, sizeof request);
  request.voice = argv[2];
  request.speed = atof(argv[3]);
  request.text = argv[4];
  status = koe_open(argv[1], NULL, &engine);
  if (status == KOE_OK) status = koe_stream(engine, &request, write_piece, stdout);
  if (status != KOE_OK) fprintf(stderr, "%s: %s\n", koe_status_text(status), koe_last_error());
  koe_free(engine);
  return (int)status;
}
