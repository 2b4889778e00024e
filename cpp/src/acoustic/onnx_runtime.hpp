// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "acoustic/ort_api.hpp"

namespace koe::ort {

/// ONNX Runtime, loaded. Lives until the process ends: it promises nothing about being unloaded.
struct Runtime {
  const Api* api;
  Env* env;
  std::string version;

  /// Does nothing for null; else throws koe::Error (kModel or kRuntime) with the status's message, and frees it.
  void check(Status* status, const std::string& what, bool is_model_fault) const;
};

/// Loads each library once. Thread-safe. See OnnxRuntimeOptions::library for `path`. Throws koe::Error: kRuntimeNotFound,
/// kRuntimeVersion.
const Runtime& load_runtime(const std::filesystem::path& path);

}  // namespace koe::ort
