// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "koe/bundle.hpp"
#include "koe/style.hpp"

namespace koe {

/// Style packs by voice spec: from the user's path, then from the bundle's tensors `voice.<name>`. Thread-safe.
class Voices {
 public:
  /// The bundle must outlive this. See EngineOptions::voices for `path`.
  Voices(const Bundle& bundle, const std::filesystem::path& path);

  /// The pack for a name or a mix. Throws std::invalid_argument for a malformed spec; koe::Error: kVoiceNotFound, kVoice.
  StylePack pack(std::string_view spec);

  /// All names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  StylePack single(const std::string& name);
  StylePack open(const std::string& name) const;

  const Bundle& bundle_;
  std::filesystem::path path_;
  std::mutex mutex_;
  std::map<std::string, StylePack> opened_;
};

}  // namespace koe
