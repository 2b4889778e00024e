// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "koe/export.hpp"

namespace koe {

/// What is wrong, for those who must tell one cause from another by program.
enum class ErrorKind : std::uint8_t {
  kOther,
  kModelNotFound,    ///< there is no bundle, or it can't be read
  kModel,            ///< the bundle is damaged, or not Kokoro's
  kVoiceNotFound,    ///< no voice of this name
  kVoice,            ///< a voice's file is damaged
  kRuntimeNotFound,  ///< no ONNX Runtime
  kRuntimeVersion,   ///< an ONNX Runtime that is too old, or a library that isn't one
  kRuntime,          ///< ONNX Runtime failed
  kG2pNotFound,      ///< no espeak-ng
  kG2p,              ///< espeak-ng failed, or doesn't know the language
  kDevice,           ///< no Metal here, or the GPU failed
};

/// A bad model, voice or device: something outside the caller's code is wrong. The message says what, with what value.
/// The caller's own mistakes (a length that doesn't fit, speed 0) are std::invalid_argument.
class KOE_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ErrorKind kind = ErrorKind::kOther)
      : std::runtime_error(message), kind_(kind) {}

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace koe
