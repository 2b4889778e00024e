// SPDX-License-Identifier: Apache-2.0
#include "koe.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "koe/engine.hpp"
#include "koe/error.hpp"
#include "koe/version.hpp"

struct koe_engine {
  koe::Engine engine;
};

namespace {

// The sizes that versions of koe.h have had; the last is today's.
constexpr std::size_t kOptionsSizes[] = {offsetof(koe_options, device), sizeof(koe_options)};
constexpr std::size_t kRequestSizes[] = {sizeof(koe_request)};

thread_local std::string last_error;

struct InvalidStructSize : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct CallbackFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

koe_status status_of(koe::ErrorKind kind) noexcept {
  switch (kind) {
    case koe::ErrorKind::kModelNotFound: return KOE_MODEL_NOT_FOUND;
    case koe::ErrorKind::kModel: return KOE_INVALID_MODEL;
    case koe::ErrorKind::kVoiceNotFound: return KOE_VOICE_NOT_FOUND;
    case koe::ErrorKind::kVoice: return KOE_INVALID_VOICE;
    case koe::ErrorKind::kRuntimeNotFound: return KOE_RUNTIME_NOT_FOUND;
    case koe::ErrorKind::kRuntimeVersion: return KOE_RUNTIME_VERSION;
    case koe::ErrorKind::kRuntime: return KOE_RUNTIME_FAILED;
    case koe::ErrorKind::kG2pNotFound: return KOE_G2P_NOT_FOUND;
    case koe::ErrorKind::kG2p: return KOE_G2P_FAILED;
    case koe::ErrorKind::kDevice: return KOE_DEVICE_UNAVAILABLE;
    case koe::ErrorKind::kOther: break;
  }
  return KOE_INTERNAL_ERROR;
}

koe_status failed(koe_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

/// Runs `function`, which returns a status; an exception becomes one.
template <typename Function>
koe_status guarded(Function&& function) noexcept {
  try {
    return function();
  } catch (const koe::Error& error) {
    return failed(status_of(error.kind()), error.what());
  } catch (const InvalidStructSize& error) {
    return failed(KOE_INVALID_STRUCT_SIZE, error.what());
  } catch (const CallbackFailed& error) {
    return failed(KOE_CALLBACK_FAILED, error.what());
  } catch (const std::invalid_argument& error) {
    return failed(KOE_INVALID_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return failed(KOE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(KOE_INTERNAL_ERROR, error.what());
  } catch (...) {
    return failed(KOE_INTERNAL_ERROR, "an unknown exception");
  }
}

void require(const void* pointer, const char* name) {
  if (!pointer) throw std::invalid_argument(std::string(name) + " is NULL");
}

std::filesystem::path to_path(const char* utf8) {
  if (!utf8) return {};
  const auto* bytes = reinterpret_cast<const char8_t*>(utf8);
  return {std::u8string(bytes, bytes + std::strlen(utf8))};
}

/// Whether a structure of this size can be: of an earlier version, today's, or a later one.
template <typename T, std::size_t N>
bool is_size_of(std::size_t size, const std::size_t (&sizes)[N]) {
  return size > sizeof(T) || std::find(sizes, sizes + N, size) != sizes + N;
}

/// A caller's structure as this library knows it: what an older header lacks is at its default, and what a newer one adds must
/// be zero.
template <typename T, std::size_t N>
T read_struct(const T* given, T defaults, const std::size_t (&sizes)[N], const char* name) {
  const std::size_t size = given->struct_size;
  const std::string what = std::string(name) + ".struct_size = " + std::to_string(size) + ": ";
  if (!is_size_of<T>(size, sizes)) {
    throw InvalidStructSize(what + "no version of koe.h has that; set it with " + name + "_init()");
  }
  if (size > sizeof(T)) {
    constexpr std::size_t kMostSane = 4096;
    if (size > kMostSane) throw InvalidStructSize(what + "it is not set; set it with " + std::string(name) + "_init()");
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    if (std::any_of(bytes + sizeof(T), bytes + size, [](unsigned char byte) { return byte != 0; })) {
      throw InvalidStructSize(what + "a field is set that this version of the library, " + koe::version() + ", doesn't know");
    }
  }
  std::memcpy(static_cast<void*>(&defaults), given, std::min(size, sizeof(T)));
  defaults.struct_size = sizeof(T);
  return defaults;
}

koe_options default_options() {
  koe_options options{};
  options.struct_size = sizeof options;
  options.has_noise = 1;
  options.silence_s = koe::EngineOptions().silence_s;
  options.trim = 1;
  return options;
}

koe_request default_request() {
  koe_request request{};
  request.struct_size = sizeof request;
  request.speed = 1.0;
  return request;
}

template <typename T, std::size_t N>
koe_status init_struct(T* out, std::size_t size, T defaults, const std::size_t (&sizes)[N], const char* name) {
  require(out, name);
  if (!is_size_of<T>(size, sizes)) {
    throw InvalidStructSize(std::string(name) + "_init(): a size of " + std::to_string(size) + ", which no version of koe.h has");
  }
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &defaults, std::min(size, sizeof(T)));
  out->struct_size = size;
  return KOE_OK;
}

koe::EngineOptions to_options(const koe_options& given) {
  koe::EngineOptions options;
  options.threads = given.threads;
  if (given.isa) options.isa = given.isa;
  if (given.precision) options.precision = koe::parse_precision(given.precision);
  if (given.device) options.device = koe::parse_device(given.device);
  options.noise_seed = given.has_noise ? std::optional(given.noise_seed) : std::nullopt;
  options.silence_s = given.silence_s;
  options.trim = given.trim != 0;
  options.voices = to_path(given.voices);
  options.onnxruntime = to_path(given.onnxruntime);
  options.espeak = to_path(given.espeak);
  options.espeak_data = to_path(given.espeak_data);
  return options;
}

koe::SpeechOptions to_speech_options(const koe_request& request) {
  if ((request.text != nullptr) == (request.phonemes != nullptr)) {
    throw std::invalid_argument("koe_request: exactly one of text and phonemes is to be given");
  }
  koe::SpeechOptions options;
  if (request.voice) options.voice = request.voice;
  if (request.language) options.language = request.language;
  options.speed = request.speed;
  options.is_phonemes = request.phonemes != nullptr;
  return options;
}

/// Everything that koe_free() frees: a deleter, then the object that the caller sees.
struct alignas(std::max_align_t) Header {
  void (*destroy)(Header*) noexcept;
};

template <typename T>
struct Boxed {
  Header header;
  T value;

  template <typename... Arguments>
  explicit Boxed(Arguments&&... arguments) : header{&destroy}, value{std::forward<Arguments>(arguments)...} {}

  static void destroy(Header* header) noexcept { delete reinterpret_cast<Boxed*>(header); }
};

template <typename T, typename... Arguments>
T* make(Arguments&&... arguments) {
  static_assert(alignof(T) <= alignof(Header));
  return &(new Boxed<T>(std::forward<Arguments>(arguments)...))->value;
}

/// A koe_speech and what it points to; the C structure comes first, so its address is the object's.
struct SpeechObject {
  koe_speech c{};
  koe::Speech speech;
  std::vector<koe_word> words;

  explicit SpeechObject(koe::Speech&& given) : speech(std::move(given)) {
    words.reserve(speech.words.size());
    for (const koe::Word& word : speech.words) {
      words.push_back({word.text.c_str(), word.start_s, word.end_s, word.begin, word.end, word.begin_byte, word.end_byte});
    }
    c = {sizeof(koe_speech), speech.samples.data(), speech.samples.size(), koe::kSampleRateHz,     0,
         speech.start_s,     words.data(),          words.size(),          speech.dropped.c_str()};
  }
  SpeechObject(const SpeechObject&) = delete;
  SpeechObject& operator=(const SpeechObject&) = delete;
};

struct NamesObject {
  koe_names c{};
  std::vector<std::string> names;
  std::vector<const char*> pointers;

  explicit NamesObject(std::vector<std::string>&& given) : names(std::move(given)) {
    for (const std::string& name : names) pointers.push_back(name.c_str());
    c = {pointers.data(), pointers.size()};
  }
  NamesObject(const NamesObject&) = delete;
  NamesObject& operator=(const NamesObject&) = delete;
};

}  // namespace

const char* koe_version(void) noexcept { return koe::version(); }

const char* koe_status_text(koe_status status) noexcept {
  switch (status) {
    case KOE_OK: return "success";
    case KOE_STOPPED: return "stopped by the callback";
    case KOE_INVALID_ARGUMENT: return "invalid argument";
    case KOE_INVALID_STRUCT_SIZE: return "invalid struct_size";
    case KOE_MODEL_NOT_FOUND: return "model not found";
    case KOE_INVALID_MODEL: return "invalid model";
    case KOE_VOICE_NOT_FOUND: return "voice not found";
    case KOE_INVALID_VOICE: return "invalid voice";
    case KOE_RUNTIME_NOT_FOUND: return "ONNX Runtime not found";
    case KOE_RUNTIME_VERSION: return "wrong version of ONNX Runtime";
    case KOE_RUNTIME_FAILED: return "ONNX Runtime failed";
    case KOE_G2P_NOT_FOUND: return "espeak-ng not found";
    case KOE_G2P_FAILED: return "espeak-ng failed";
    case KOE_CALLBACK_FAILED: return "the callback threw an exception";
    case KOE_OUT_OF_MEMORY: return "out of memory";
    case KOE_INTERNAL_ERROR: return "internal error";
    case KOE_DEVICE_UNAVAILABLE: return "device unavailable";
    default: return "unknown status";
  }
}

const char* koe_last_error(void) noexcept { return last_error.c_str(); }

koe_status koe_options_init(koe_options* options, size_t struct_size) noexcept {
  return guarded([&] { return init_struct(options, struct_size, default_options(), kOptionsSizes, "koe_options"); });
}

koe_status koe_request_init(koe_request* request, size_t struct_size) noexcept {
  return guarded([&] { return init_struct(request, struct_size, default_request(), kRequestSizes, "koe_request"); });
}

koe_status koe_open(const char* bundle, const koe_options* options, koe_engine** out) noexcept {
  return guarded([&]() -> koe_status {
    require(out, "out");
    *out = nullptr;
    require(bundle, "bundle");
    const koe_options given =
        options ? read_struct(options, default_options(), kOptionsSizes, "koe_options") : default_options();
    *out = make<koe_engine>(koe::Engine::open(to_path(bundle), to_options(given)));
    return KOE_OK;
  });
}

koe_status koe_synthesize(const koe_engine* engine, const koe_request* request, koe_speech** out) noexcept {
  return guarded([&]() -> koe_status {
    require(out, "out");
    *out = nullptr;
    require(engine, "engine");
    require(request, "request");
    const koe_request given = read_struct(request, default_request(), kRequestSizes, "koe_request");
    const koe::SpeechOptions options = to_speech_options(given);
    *out = &make<SpeechObject>(engine->engine.synthesize(given.text ? given.text : given.phonemes, options))->c;
    return KOE_OK;
  });
}

koe_status koe_stream(const koe_engine* engine, const koe_request* request, koe_piece_callback callback,
                      void* user_data) noexcept {
  return guarded([&]() -> koe_status {
    require(engine, "engine");
    require(request, "request");
    require(reinterpret_cast<const void*>(callback), "callback");
    const koe_request given = read_struct(request, default_request(), kRequestSizes, "koe_request");
    const koe::SpeechOptions options = to_speech_options(given);
    const auto on_piece = [&](koe::Speech&& speech) {
      const SpeechObject piece(std::move(speech));
      try {
        return callback(&piece.c, user_data) != 0;
      } catch (const std::exception& error) {
        throw CallbackFailed(std::string("the callback threw: ") + error.what());
      } catch (...) {
        throw CallbackFailed("the callback threw what is no std::exception");
      }
    };
    if (engine->engine.stream(given.text ? given.text : given.phonemes, options, on_piece)) return KOE_OK;
    return failed(KOE_STOPPED, "the callback asked to stop");
  });
}

koe_status koe_phonemize(const koe_engine* engine, const char* text, const char* language, char** out) noexcept {
  return guarded([&]() -> koe_status {
    require(out, "out");
    *out = nullptr;
    require(engine, "engine");
    require(text, "text");
    const std::string phonemes = engine->engine.phonemize(text, language ? language : "en-us").phonemes;
    auto* object = static_cast<char*>(::operator new(sizeof(Header) + phonemes.size() + 1));
    new (object) Header{[](Header* header) noexcept { ::operator delete(header); }};
    *out = object + sizeof(Header);
    std::memcpy(*out, phonemes.c_str(), phonemes.size() + 1);
    return KOE_OK;
  });
}

koe_status koe_voices(const koe_engine* engine, koe_names** out) noexcept {
  return guarded([&]() -> koe_status {
    require(out, "out");
    *out = nullptr;
    require(engine, "engine");
    *out = &make<NamesObject>(engine->engine.voices())->c;
    return KOE_OK;
  });
}

void koe_free(void* object) noexcept {
  if (!object) return;
  Header* header = reinterpret_cast<Header*>(static_cast<unsigned char*>(object) - sizeof(Header));
  header->destroy(header);
}
