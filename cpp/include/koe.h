/* SPDX-License-Identifier: Apache-2.0 */
/**
 * koe from C, and from every language that calls C: text or phonemes in, 24 kHz mono float samples out.
 *
 *     koe_engine* engine = NULL;
 *     koe_speech* speech = NULL;
 *     koe_request request;
 *     koe_request_init(&request, sizeof request);
 *     request.text = "Hello.";
 *     request.voice = "af_bella";
 *     if (koe_open("kokoro.gguf", NULL, &engine) != KOE_OK || koe_synthesize(engine, &request, &speech) != KOE_OK) {
 *       fprintf(stderr, "%s\n", koe_last_error());
 *     }
 *     koe_free(speech);
 *     koe_free(engine);
 *
 * Strings are UTF-8 and end with a zero byte, paths too. What a function gives through an `out` argument belongs to the caller,
 * who frees it with koe_free(); after a failure it is NULL. What a function is given it copies, and keeps no pointer to. No
 * exception ever leaves a function.
 *
 * An engine may be used from any number of threads at once; freeing it ends its use, and must be the last.
 *
 * The structures grow at their ends. `struct_size` tells which fields a program was compiled with; the ..._init() functions set
 * it and every default.
 */
#ifndef KOE_H
#define KOE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(KOE_SHARED)
#if defined(KOE_BUILDING)
#define KOE_C_API __declspec(dllexport)
#else
#define KOE_C_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define KOE_C_API __attribute__((visibility("default")))
#else
#define KOE_C_API
#endif

#ifdef __cplusplus
#define KOE_NOEXCEPT noexcept
extern "C" {
#else
#define KOE_NOEXCEPT
#endif

/** What a call came to. Values never change; new ones may come. */
typedef int32_t koe_status;
enum {
  KOE_OK = 0,
  KOE_STOPPED = 1,             /**< the callback asked to stop; not a failure */
  KOE_INVALID_ARGUMENT = 2,    /**< a null pointer, a value out of range, a malformed voice */
  KOE_INVALID_STRUCT_SIZE = 3, /**< struct_size is not one that any version of koe.h has, or a newer field is set */
  KOE_MODEL_NOT_FOUND = 4,     /**< there is no such bundle */
  KOE_INVALID_MODEL = 5,       /**< the bundle is damaged, or not Kokoro's */
  KOE_VOICE_NOT_FOUND = 6,     /**< no voice of this name */
  KOE_INVALID_VOICE = 7,       /**< the voice's file is damaged */
  KOE_RUNTIME_NOT_FOUND = 8,   /**< no ONNX Runtime */
  KOE_RUNTIME_VERSION = 9,     /**< an ONNX Runtime that is too old, or a library that isn't one */
  KOE_RUNTIME_FAILED = 10,     /**< ONNX Runtime failed */
  KOE_G2P_NOT_FOUND = 11,      /**< no espeak-ng; phonemes can be spoken without it */
  KOE_G2P_FAILED = 12,         /**< espeak-ng failed, or has no phonemes for the language */
  KOE_CALLBACK_FAILED = 13,    /**< the callback threw a C++ exception */
  KOE_OUT_OF_MEMORY = 14,
  KOE_INTERNAL_ERROR = 15,     /**< a fault of koe's */
  KOE_DEVICE_UNAVAILABLE = 16  /**< no Metal here, or the GPU failed */
};

/** An open model. Opaque. */
typedef struct koe_engine koe_engine;

typedef struct koe_options {
  size_t struct_size;
  const char* onnxruntime; /**< ONNX Runtime's shared library; NULL takes KOE_ONNXRUNTIME, then the usual names */
  const char* espeak;      /**< espeak-ng's shared library; NULL takes KOE_ESPEAK, then the usual names */
  const char* espeak_data; /**< its folder espeak-ng-data; NULL takes KOE_ESPEAK_DATA, then the one beside the library */
  const char* voices;      /**< a folder, archive or file of voices, before the bundle's own; NULL for none */
  const char* isa;         /**< a kernel table, such as "avx2"; NULL for what KOE_ISA says, or else the fastest */
  const char* precision;   /**< "auto", "float32", "bfloat16" or "int8", or "float16" on a GPU; NULL is "auto" */
  uint32_t threads;        /**< 0 for as many as the process may use */
  int32_t has_noise;       /**< whether the harmonic source has noise, as the original model; default 1 */
  uint64_t noise_seed;     /**< default 0 */
  double silence_s;        /**< between chunks, 0 to 60; default 0.4 */
  int32_t trim;            /**< whether silence at the edges of each chunk is cut; default 1 */
  int32_t reserved;        /**< 0 */
  const char* device;      /**< of the vocoder: "cpu" or "metal", an Apple GPU; NULL is "cpu" */
} koe_options;

typedef struct koe_request {
  size_t struct_size;
  const char* text;     /**< what to say, of any length; or NULL, and then: */
  const char* phonemes; /**< the same as phonemes, characters of the model's vocabulary */
  const char* voice;    /**< a name, or a mix such as "af_bella:0.6,af_sarah:0.4"; NULL is "af", half Bella and half Sarah */
  const char* language; /**< of the text: "en-us", "en-gb", "es", "fr-fr", "hi", "it", "pt-br"; NULL for that of the voice */
  double speed;         /**< 0.25 to 4; default 1; 2 is twice as fast */
} koe_request;

/** A word as spoken, and its place in the text (or phonemes) that was given. */
typedef struct koe_word {
  const char* text;
  double start_s; /**< from the beginning of the speech, or piece, that it is in */
  double end_s;
  size_t begin; /**< half-open, in code points */
  size_t end;
  size_t begin_byte; /**< half-open, in bytes */
  size_t end_byte;
} koe_word;

/** Speech, or a piece of it. Read-only; everything in it is freed with it. */
typedef struct koe_speech {
  size_t struct_size; /**< which fields this library fills */
  const float* samples;
  size_t n_samples; /**< may be 0 */
  uint32_t sample_rate_hz;
  uint32_t reserved;
  double start_s; /**< where a piece begins in the whole; 0 for the whole */
  const koe_word* words;
  size_t n_words;
  const char* dropped; /**< what was left out for want of a pronunciation; "" for nothing */
} koe_speech;

/** Names, sorted. */
typedef struct koe_names {
  const char* const* names;
  size_t n_names;
} koe_names;

/** Called in the caller's thread with each piece, which is valid until it returns. Returns whether to go on: 0 stops. */
typedef int32_t (*koe_piece_callback)(const koe_speech* piece, void* user_data);

/** "major.minor.patch". */
KOE_C_API const char* koe_version(void) KOE_NOEXCEPT;

/** A status in a few words, such as "voice not found". Never NULL. */
KOE_C_API const char* koe_status_text(koe_status status) KOE_NOEXCEPT;

/** What was wrong with this thread's last call that did not return KOE_OK, with what value, and what to do. Valid until the
 * thread's next such call; "" where there was none. */
KOE_C_API const char* koe_last_error(void) KOE_NOEXCEPT;

/** Sets defaults, and struct_size to `struct_size`, which is the caller's sizeof. */
KOE_C_API koe_status koe_options_init(koe_options* options, size_t struct_size) KOE_NOEXCEPT;
KOE_C_API koe_status koe_request_init(koe_request* request, size_t struct_size) KOE_NOEXCEPT;

/** Opens a bundle, as `koe prepare` writes it. `options` may be NULL. */
KOE_C_API koe_status koe_open(const char* bundle, const koe_options* options, koe_engine** out) KOE_NOEXCEPT;

/** Speaks. Something without anything to speak gives no samples. */
KOE_C_API koe_status koe_synthesize(const koe_engine* engine, const koe_request* request, koe_speech** out) KOE_NOEXCEPT;

/** Speaks piece by piece, each as soon as it is ready; put together they are koe_synthesize()'s samples. KOE_STOPPED where the
 * callback asked for it. */
KOE_C_API koe_status koe_stream(const koe_engine* engine, const koe_request* request, koe_piece_callback callback,
                                void* user_data) KOE_NOEXCEPT;

/** The phonemes of a text. `language` as in koe_request; NULL is "en-us". */
KOE_C_API koe_status koe_phonemize(const koe_engine* engine, const char* text, const char* language, char** out) KOE_NOEXCEPT;

/** The voices that can be had. */
KOE_C_API koe_status koe_voices(const koe_engine* engine, koe_names** out) KOE_NOEXCEPT;

/** Frees what koe gave: an engine, speech, names or phonemes. NULL is fine. */
KOE_C_API void koe_free(void* object) KOE_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* KOE_H */
