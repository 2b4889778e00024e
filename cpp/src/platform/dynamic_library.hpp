// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace koe {

/// A shared library that stays loaded until the process ends: those that koe uses start threads and keep global state, and
/// none of them promises that it can be unloaded.
class DynamicLibrary {
 public:
  /// Loads the file, or, for a name without a folder, what the system's search finds. Empty on failure, with the system's
  /// reason in `why`.
  static std::optional<DynamicLibrary> load(const std::filesystem::path& path, std::string& why);

  /// What the program itself is linked with.
  static DynamicLibrary program() noexcept;

  /// The address of a symbol, null if there is none.
  [[nodiscard]] void* symbol(const char* name) const noexcept;

  template <typename Function>
  [[nodiscard]] Function* function(const char* name) const noexcept {
    return reinterpret_cast<Function*>(symbol(name));
  }

 private:
  explicit DynamicLibrary(void* handle) noexcept : handle_(handle) {}

  void* handle_;
};

/// An environment variable's path; empty where it is not set.
std::filesystem::path path_from_environment(const char* variable);

}  // namespace koe
