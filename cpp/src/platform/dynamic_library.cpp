// SPDX-License-Identifier: Apache-2.0
#include "platform/dynamic_library.hpp"

#include <cstdlib>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace koe {

#if defined(_WIN32)

std::optional<DynamicLibrary> DynamicLibrary::load(const std::filesystem::path& path, std::string& why) {
  // A library given by its whole path finds the libraries beside it.
  const DWORD flags = path.is_absolute() ? LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS : 0;
  if (HMODULE module = LoadLibraryExW(path.c_str(), nullptr, flags)) return DynamicLibrary(module);
  why = "error " + std::to_string(GetLastError());
  return std::nullopt;
}

DynamicLibrary DynamicLibrary::program() noexcept { return DynamicLibrary(GetModuleHandleW(nullptr)); }

void* DynamicLibrary::symbol(const char* name) const noexcept {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name));
}

std::filesystem::path path_from_environment(const char* variable) {
  const std::wstring name(variable, variable + std::char_traits<char>::length(variable));
  const wchar_t* value = _wgetenv(name.c_str());
  return value ? std::filesystem::path(value) : std::filesystem::path();
}

#else

std::optional<DynamicLibrary> DynamicLibrary::load(const std::filesystem::path& path, std::string& why) {
  if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return DynamicLibrary(handle);
  const char* reason = dlerror();
  why = reason ? reason : "unknown reason";
  return std::nullopt;
}

DynamicLibrary DynamicLibrary::program() noexcept { return DynamicLibrary(dlopen(nullptr, RTLD_NOW)); }

void* DynamicLibrary::symbol(const char* name) const noexcept { return handle_ ? dlsym(handle_, name) : nullptr; }

std::filesystem::path path_from_environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

#endif

}  // namespace koe
