// SPDX-License-Identifier: Apache-2.0
#include "engine/voices.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

#include "koe/error.hpp"
#include "koe/voice_spec.hpp"
#include "model/mapped_file.hpp"
#include "voice/message.hpp"

namespace koe {
namespace {

constexpr std::string_view kPrefix = "voice.";
constexpr std::size_t kMostOpen = 64;
constexpr std::size_t kSuggestions = 3;

bool is_voice_file(const std::filesystem::path& path) { return path.extension() == ".bin" || path.extension() == ".npy"; }

StylePack from_tensor(const Tensor& tensor) {
  if (tensor.type != DataType::kFloat32) throw Error("it is not float32");
  std::vector<float> values(tensor.n_elements());
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return StylePack::from_values(std::move(values));
}

}  // namespace

Voices::Voices(const Bundle& bundle, const std::filesystem::path& path) : bundle_(bundle), path_(path) {
  std::error_code ignored;
  if (!path_.empty() && !std::filesystem::exists(path_, ignored)) {
    throw Error(display(path_) + ": there is no such file or folder of voices", ErrorKind::kVoiceNotFound);
  }
}

StylePack Voices::pack(std::string_view spec) {
  const auto parts = parse_voice_spec(spec);
  const std::lock_guard lock(mutex_);
  if (parts.size() == 1) return single(parts[0].name);
  std::vector<StylePack> packs;
  std::vector<double> weights;
  std::string names;
  for (const auto& [name, weight] : parts) {
    packs.push_back(single(name));
    weights.push_back(weight);
    if (!names.empty()) names += ", ";
    names += name;
  }
  try {
    return mix(packs, weights);
  } catch (const std::invalid_argument& error) {
    throw Error("the voices " + names + " can't be mixed: " + error.what(), ErrorKind::kVoice);
  }
}

StylePack Voices::single(const std::string& name) {
  if (const auto found = opened_.find(name); found != opened_.end()) return found->second;
  if (opened_.size() >= kMostOpen) opened_.clear();
  return opened_.emplace(name, open(name)).first->second;
}

StylePack Voices::open(const std::string& name) const {
  try {
    if (std::filesystem::is_directory(path_)) {
      for (const char* suffix : {".bin", ".npy"}) {
        const auto file = path_ / std::filesystem::path(std::u8string(name.begin(), name.end()) += std::u8string(suffix, suffix + 4));
        if (std::filesystem::exists(file)) return StylePack::open(file);
      }
    } else if (!path_.empty()) {
      const auto members = StylePack::names(path_);
      if (std::find(members.begin(), members.end(), name) != members.end()) return StylePack::open(path_, name);
      if (members.empty() && display(path_.stem()) == name) return StylePack::open(path_);
    }
    if (const Tensor* tensor = bundle_.find(std::string(kPrefix) + name)) return from_tensor(*tensor);
  } catch (const std::exception& error) {
    throw Error("voice '" + without_controls(name) + "': " + error.what(), ErrorKind::kVoice);
  }
  const auto known = names();
  std::string message = "no voice '" + without_controls(name) + "'";
  const auto near = nearest_names(name, known, kSuggestions);
  for (std::size_t i = 0; i < near.size(); ++i) message += (i == 0 ? "; did you mean " : ", ") + near[i];
  if (known.empty()) message += "; the bundle holds none, so give a folder of voices, or prepare it with --voices";
  throw Error(message, ErrorKind::kVoiceNotFound);
}

std::vector<std::string> Voices::names() const {
  std::set<std::string> found;
  for (const Tensor& tensor : bundle_.tensors()) {
    if (tensor.name.starts_with(kPrefix)) found.insert(tensor.name.substr(kPrefix.size()));
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path_, ignored)) {
    for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
      if (is_voice_file(entry.path())) found.insert(display(entry.path().stem()));
    }
  } else if (!path_.empty()) {
    const auto members = StylePack::names(path_);
    found.insert(members.begin(), members.end());
    if (members.empty()) found.insert(display(path_.stem()));
  }
  return {found.begin(), found.end()};
}

}  // namespace koe
