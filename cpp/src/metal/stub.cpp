// SPDX-License-Identifier: Apache-2.0
// What a build without Metal answers.
#include "koe/error.hpp"
#include "metal/device.hpp"

namespace koe::metal {
namespace {

#if defined(__APPLE__)
constexpr const char* kReason = "this build of koe has no Metal";
#else
constexpr const char* kReason = "Metal needs an Apple GPU, and this is not an Apple system";
#endif

}  // namespace

std::unique_ptr<Device> open_device(std::span<const std::byte>) { throw Error(kReason, ErrorKind::kDevice); }

std::string device_name(std::string* reason) {
  if (reason != nullptr) *reason = kReason;
  return {};
}

}  // namespace koe::metal
