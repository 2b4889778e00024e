// SPDX-License-Identifier: Apache-2.0
#include "koe/wav.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "koe/error.hpp"
#include "model/mapped_file.hpp"

namespace koe {
namespace {

constexpr std::uint16_t kFormatPcm = 1;
constexpr std::uint16_t kFormatFloat = 3;
constexpr int kMaxLinks = 40;  // as Linux follows

class Writer {
 public:
  explicit Writer(std::size_t size) { bytes_.reserve(size); }

  void text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
  }

  template <typename T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

std::error_code write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return {};
  // The stream itself doesn't say why; where the system left no reason, there is only this to say.
  return errno != 0 ? std::error_code(errno, std::generic_category()) : std::make_error_code(std::errc::io_error);
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::error_code& error) {
  throw Error("cannot write '" + display(path) + "': " + error.message());
}

}  // namespace

std::vector<std::byte> encode_wav(std::span<const float> samples, std::uint32_t sample_rate_hz, WavFormat format) {
  const bool pcm = format == WavFormat::kPcm16;
  const std::uint32_t sample_bytes = pcm ? 2 : 4;
  // A format other than PCM has an extension size in "fmt " and a "fact" chunk.
  const std::uint32_t header_bytes = pcm ? 44 : 58;
  if (sample_rate_hz == 0 || sample_rate_hz > std::numeric_limits<std::uint32_t>::max() / sample_bytes) {
    throw std::invalid_argument("WAV: a sample rate of " + std::to_string(sample_rate_hz) + " Hz");
  }
  if (samples.size() > (std::numeric_limits<std::uint32_t>::max() - header_bytes) / sample_bytes) {
    throw std::invalid_argument("WAV: " + std::to_string(samples.size()) + " samples don't fit in 4 GiB");
  }
  const auto bad = std::find_if_not(samples.begin(), samples.end(), [](float x) { return std::isfinite(x); });
  if (bad != samples.end()) {
    throw Error(std::string("WAV: ") + (std::isnan(*bad) ? "NaN" : "infinity") + " at sample " +
                std::to_string(bad - samples.begin()));
  }

  const auto data_bytes = static_cast<std::uint32_t>(samples.size() * sample_bytes);
  Writer out(header_bytes + data_bytes);
  out.text("RIFF");
  out.number(header_bytes - 8 + data_bytes);
  out.text("WAVEfmt ");
  out.number<std::uint32_t>(pcm ? 16 : 18);
  out.number(pcm ? kFormatPcm : kFormatFloat);
  out.number<std::uint16_t>(1);
  out.number(sample_rate_hz);
  out.number(sample_rate_hz * sample_bytes);
  out.number(static_cast<std::uint16_t>(sample_bytes));
  out.number(static_cast<std::uint16_t>(sample_bytes * 8));
  if (!pcm) {
    out.number<std::uint16_t>(0);
    out.text("fact");
    out.number<std::uint32_t>(4);
    out.number(static_cast<std::uint32_t>(samples.size()));
  }
  out.text("data");
  out.number(data_bytes);
  for (const float x : samples) {
    if (pcm) {
      const double scaled = std::clamp(std::round(static_cast<double>(x) * 32767), -32768.0, 32767.0);
      out.number(static_cast<std::uint16_t>(static_cast<std::int16_t>(scaled)));
    } else {
      out.number(std::bit_cast<std::uint32_t>(x));
    }
  }
  return out.take();
}

void write_wav(const std::filesystem::path& path, std::span<const float> samples, std::uint32_t sample_rate_hz,
               WavFormat format) {
  const std::vector<std::byte> bytes = encode_wav(samples, sample_rate_hz, format);
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    // A pipe or a device (or a folder, which fails) must not be replaced by a file.
    error = write_bytes(path, bytes);
    if (error) fail(path, error);
    return;
  }
  // A link stays one: the file that it leads to, which need not exist yet, is replaced.
  std::filesystem::path target = path;
  for (int i = 0; i < kMaxLinks && std::filesystem::is_symlink(target, error); ++i) {
    target = target.parent_path() / std::filesystem::read_symlink(target, error);
  }
  std::filesystem::path part = target;
  part += ".part";
  error = write_bytes(part, bytes);
  if (!error) std::filesystem::rename(part, target, error);
  if (error) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    fail(path, error);
  }
}

}  // namespace koe
