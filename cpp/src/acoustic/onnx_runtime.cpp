// SPDX-License-Identifier: Apache-2.0
#include "acoustic/onnx_runtime.hpp"

#include <charconv>
#include <map>
#include <mutex>
#include <string_view>

#include "koe/error.hpp"
#include "model/mapped_file.hpp"
#include "platform/dynamic_library.hpp"

namespace koe::ort {
namespace {

#if defined(_WIN32)
constexpr const char* kUsualNames[] = {"onnxruntime.dll"};
#elif defined(__APPLE__)
constexpr const char* kUsualNames[] = {"libonnxruntime.dylib", "libonnxruntime.1.dylib",
                                       "/opt/homebrew/lib/libonnxruntime.dylib", "/usr/local/lib/libonnxruntime.dylib"};
#else
constexpr const char* kUsualNames[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
#endif

constexpr const char* kHowToGetIt =
    "give the path of ONNX Runtime's shared library (1.11 or newer, from https://github.com/microsoft/onnxruntime/releases "
    "or inside the Python package onnxruntime), or set KOE_ONNXRUNTIME to it";

/// The N of "1.N.P"; -1 for what is no such version.
int minor_of(std::string_view version) {
  if (!version.starts_with("1.")) return version.empty() || version[0] < '2' || version[0] > '9' ? -1 : 1'000;
  version.remove_prefix(2);
  int minor = -1;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), minor);
  return error == std::errc() ? minor : -1;
}

Runtime start(GetApiBase* get_api_base, const std::string& name) {
  const ApiBase* base = get_api_base();
  const std::string version = base->get_version_string();
  // Asked for first: get_api would write its complaint to standard error.
  const Api* api = minor_of(version) >= static_cast<int>(kApiVersion) ? base->get_api(kApiVersion) : nullptr;
  if (!api) {
    throw Error(name + " is ONNX Runtime " + version + ", and koe needs 1." + std::to_string(kApiVersion) + " or newer; " +
                    kHowToGetIt,
                ErrorKind::kRuntimeVersion);
  }
  Runtime runtime{api, nullptr, version};
  runtime.check(api->create_env(kLogFatal, "koe", &runtime.env), name + ": ONNX Runtime can't be started", false);
  return runtime;
}

Runtime load(const std::filesystem::path& path) {
  std::string why;
  const auto library = DynamicLibrary::load(path, why);
  if (!library) {
    throw Error("no ONNX Runtime: " + display(path) + " can't be loaded (" + why + "); " + kHowToGetIt,
                ErrorKind::kRuntimeNotFound);
  }
  const auto get_api_base = library->function<GetApiBase>("OrtGetApiBase");
  if (!get_api_base) {
    throw Error(display(path) + " is not ONNX Runtime: it has no OrtGetApiBase; " + kHowToGetIt, ErrorKind::kRuntimeVersion);
  }
  return start(get_api_base, display(path));
}

Runtime load_usual() {
  if (const auto get_api_base = DynamicLibrary::program().function<GetApiBase>("OrtGetApiBase")) {
    return start(get_api_base, "the runtime that this program is linked with");
  }
  std::string tried;
  for (const char* name : kUsualNames) {
    std::string why;
    if (DynamicLibrary::load(name, why)) return load(name);
    if (!tried.empty()) tried += ", ";
    tried += name;
  }
  throw Error("no ONNX Runtime: there is none of " + tried + " where the system looks for libraries; " + kHowToGetIt,
              ErrorKind::kRuntimeNotFound);
}

}  // namespace

void Runtime::check(Status* status, const std::string& what, bool is_model_fault) const {
  if (!status) return;
  const std::string message = what + ": " + api->get_error_message(status);
  api->release_status(status);
  throw Error(message, is_model_fault ? ErrorKind::kModel : ErrorKind::kRuntime);
}

const Runtime& load_runtime(const std::filesystem::path& path) {
  static std::mutex mutex;
  // Never destroyed: sessions of other static objects may outlive this one.
  static auto& loaded = *new std::map<std::filesystem::path, Runtime>;
  const std::lock_guard lock(mutex);
  const std::filesystem::path chosen = path.empty() ? path_from_environment("KOE_ONNXRUNTIME") : path;
  const auto found = loaded.find(chosen);
  if (found != loaded.end()) return found->second;
  return loaded.emplace(chosen, chosen.empty() ? load_usual() : load(chosen)).first->second;
}

}  // namespace koe::ort
