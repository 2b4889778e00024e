/* SPDX-License-Identifier: Apache-2.0 */
/* koe-stream BUNDLE VOICE [SECONDS]: speaks standard input to standard output, float32 at 24 kHz, piece by piece, and stops
 * after so many seconds of speech.
 *
 *     echo "Hello there." | koe-stream kokoro.gguf af_bella | aplay -f FLOAT_LE -r 24000
 */
#include <stdio.h>
#include <stdlib.h>

#include <koe.h>

typedef struct {
  double seconds_left;
} player;

/* What an app would do with a piece: play it. Here it goes to standard output. */
static int32_t play(const koe_speech* piece, void* user_data) {
  player* p = (player*)user_data;
  size_t i;
  for (i = 0; i < piece->n_words; ++i) {
    const koe_word* word = &piece->words[i];
    fprintf(stderr, "%8.3f  %s\n", piece->start_s + word->start_s, word->text);
  }
  if (fwrite(piece->samples, sizeof *piece->samples, piece->n_samples, stdout) != piece->n_samples) return 0;
  fflush(stdout);
  p->seconds_left -= (double)piece->n_samples / piece->sample_rate_hz;
  return p->seconds_left > 0;
}

/* All of standard input, which the caller frees; NULL without memory. */
static char* read_all(void) {
  size_t size = 0, capacity = 4096;
  char* text = (char*)malloc(capacity);
  while (text) {
    size += fread(text + size, 1, capacity - size - 1, stdin);
    if (size < capacity - 1) {
      text[size] = '\0';
      return text;
    }
    {
      char* more = (char*)realloc(text, capacity *= 2);
      if (!more) free(text);
      text = more;
    }
  }
  return NULL;
}

int main(int argc, char** argv) {
  koe_engine* engine = NULL;
  koe_request request;
  koe_status status;
  player p;
  char* text;
  if (argc < 3) {
    fprintf(stderr, "koe-stream BUNDLE VOICE [SECONDS] < TEXT > SAMPLES\n");
    return 2;
  }
  p.seconds_left = argc > 3 ? atof(argv[3]) : 1e9;
  text = read_all();
  if (!text) return 1;
  koe_request_init(&request, sizeof request);
  request.text = text;
  request.voice = argv[2];
  status = koe_open(argv[1], NULL, &engine);
  if (status == KOE_OK) status = koe_stream(engine, &request, play, &p);
  if (status != KOE_OK && status != KOE_STOPPED) {
    fprintf(stderr, "koe-stream: %s: %s\n", koe_status_text(status), koe_last_error());
  }
  koe_free(engine);
  free(text);
  return status == KOE_OK || status == KOE_STOPPED ? 0 : 1;
}
