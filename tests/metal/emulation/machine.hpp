// SPDX-License-Identifier: Apache-2.0
// A Metal device as C++: one threadgroup after another, in shuffled order; the threads of a threadgroup are fibers that run,
// in shuffled order too, from one barrier to the next. Whatever Metal leaves undefined is a Fault here: an access outside a
// buffer's region, threadgroup memory read before it was written, two threads that touch a place without a barrier between
// them, and a barrier or a simdgroup operation that not all of its threads reach.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace koe::emulation {

class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::uint32_t kSimdWidth = 32;
inline constexpr std::uint32_t kMaxThreads = 1024;
inline constexpr std::uint32_t kMaxThreadgroupBytes = 32768;
inline constexpr std::size_t kMaxBuffers = 31;

/// A device allocation and, while a kernel may write to it, who touched each word last.
struct Allocation {
  struct Word {
    std::uint32_t writer_dispatch = 0;
    std::uint32_t writer = 0;
    std::uint32_t reader_dispatch = 0;
    std::uint32_t reader = 0;
  };
  std::vector<std::byte> bytes;
  std::vector<Word> words;
};

/// What a kernel sees of an allocation as one of its arguments.
struct Binding {
  Allocation* allocation = nullptr;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  std::size_t index = 0;
  bool is_tracked = false;
};

struct Launch {
  std::string kernel;
  std::vector<std::uint32_t> constants;
  const void* arguments = nullptr;
  std::size_t argument_bytes = 0;
  std::vector<Binding> bindings;
  std::uint32_t groups_x = 1;
  std::uint32_t groups_y = 1;
  std::uint32_t threads = 1;
  std::uint32_t threadgroup_bytes = 0;
};

/// A kernel as the machine calls it, once for each thread.
using Body = std::function<void()>;

class Machine {
 public:
  explicit Machine(std::uint64_t seed);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs `body` over the grid. Throws Fault.
  void run(const Launch& launch, const Body& body);

  // What the language asks of the thread that runs.
  const Launch& launch() const noexcept { return *launch_; }
  std::uint32_t group_x() const noexcept { return group_x_; }
  std::uint32_t group_y() const noexcept { return group_y_; }
  std::uint32_t thread() const noexcept { return current_; }
  bool is_leader() const noexcept { return current_ % kSimdWidth == 0; }
  std::uint32_t constant(std::uint32_t index) const;

  void threadgroup_barrier();
  void simdgroup_barrier();
  /// Notes a simdgroup operation with its operands; all lanes must do the same ones between two barriers.
  void collective(std::uint64_t operation) noexcept;

  std::byte* device(const Binding& binding, std::int64_t offset, std::size_t bytes, bool is_write);
  std::byte* threadgroup(std::int64_t offset, std::size_t bytes, bool is_write, bool is_collective);

 private:
  enum class State : std::uint8_t { ready, at_group_barrier, at_simd_barrier, done };
  struct Fiber;
  struct Unit;

  void run_group();
  void resume(Fiber& fiber);
  void wait(State state);
  bool release();
  void check_simd(std::uint32_t simd) const;
  static void enter(unsigned high, unsigned low);
  [[noreturn]] void fault(const std::string& what) const;
  bool is_ordered(std::uint32_t thread, std::uint32_t group_epoch, std::uint32_t simd_epoch) const noexcept;

  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::jmp_buf scheduler_;
  const Launch* launch_ = nullptr;
  const Body* body_ = nullptr;
  std::uint32_t group_x_ = 0;
  std::uint32_t group_y_ = 0;
  std::uint32_t current_ = 0;
  std::uint32_t dispatch_ = 0;
  std::uint32_t group_epoch_ = 0;
  std::vector<std::uint32_t> simd_epochs_;
  std::vector<std::byte> memory_;
  std::vector<Unit> units_;
  std::exception_ptr error_;
};

/// The machine whose thread runs, for the kernels' language.
inline Machine* machine = nullptr;

}  // namespace koe::emulation
