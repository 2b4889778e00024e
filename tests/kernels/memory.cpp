// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <csignal>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <new>

namespace koe::kernel_tests {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::byte kGuard{0xa5};

std::array<char, 512> case_text{};

std::size_t page_bytes() noexcept { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

extern "C" void on_fault(int number) {
  const auto say = [](const char* text) { return write(STDOUT_FILENO, text, std::strlen(text)); };
  // What write() says no longer matters here; the sum only uses its results.
  const ssize_t said = say(number == SIGILL ? "illegal instruction in: " : number == SIGABRT ? "ended in: " : "access outside a buffer in: ") +
                       say(case_text.data()) + say("\n");
  _exit(said > 0 ? 3 : 4);
}

}  // namespace

Pages::Pages(std::size_t bytes) : bytes_(bytes) {
  const std::size_t page = page_bytes();
  const std::size_t inner = round_up(std::max<std::size_t>(bytes, 1), page);
  mapped_bytes_ = inner + 2 * page;
  void* p = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(p);
  std::byte* begin = mapped_ + page;
  if (mprotect(begin, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  std::memset(begin, static_cast<int>(kGuard), inner);
  data_ = begin + (inner - round_up(bytes, kAlignment));
}

Pages::~Pages() { munmap(mapped_, mapped_bytes_); }

void Pages::check() const {
  const std::byte* begin = mapped_ + page_bytes();
  const std::byte* end = mapped_ + mapped_bytes_ - page_bytes();
  const auto intact = [](std::byte b) { return b == kGuard; };
  if (!std::all_of(begin, static_cast<const std::byte*>(data_), intact)) throw Failure("wrote in front of a buffer");
  if (!std::all_of(static_cast<const std::byte*>(data_) + bytes_, end, intact)) throw Failure("wrote behind a buffer");
}

void set_case(const std::string& text) {
  const std::size_t n = std::min(text.size(), case_text.size() - 1);
  std::memcpy(case_text.data(), text.data(), n);
  case_text[n] = '\0';
}

const char* current_case() noexcept { return case_text.data(); }

void report_faults() {
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGABRT}) std::signal(number, on_fault);
}

}  // namespace koe::kernel_tests
