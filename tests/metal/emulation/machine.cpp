// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace koe::emulation {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} << 10;
constexpr std::size_t kUnitBytes = 2;
constexpr std::uint32_t kNobody = 0xffffffffu;
constexpr std::uint32_t kSeveral = 0xfffffffeu;
constexpr std::byte kPoison{0xff};  // a NaN as half and as float

}  // namespace

struct Machine::Fiber {
  Fiber() {
    stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    // A kernel that overruns its stack must not run into its neighbour's.
    mprotect(stack, 4096, PROT_NONE);
  }
  ~Fiber() { munmap(stack, kStackBytes); }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void* stack;
  ucontext_t start{};
  std::jmp_buf context;
  bool is_started = false;
  State state = State::done;
  std::uint64_t operations = 0;
};

// Two bytes of threadgroup memory: who wrote and who read them last, and when.
struct Machine::Unit {
  std::uint32_t writer = kNobody;
  std::uint32_t written_group_epoch = 0;
  std::uint32_t written_simd_epoch = 0;
  std::uint32_t reader = kNobody;  // or kSeveral, all of simdgroup `reader_simd`, or of several too
  std::uint32_t reader_simd = 0;
  std::uint32_t read_group_epoch = 0;
  std::uint32_t read_simd_epoch = 0;
};

Machine::Machine(std::uint64_t seed) : random_(seed) {}
Machine::~Machine() = default;

void Machine::fault(const std::string& what) const {
  throw Fault("kernel " + launch_->kernel + ", threadgroup (" + std::to_string(group_x_) + ", " + std::to_string(group_y_) +
              "), thread " + std::to_string(current_) + ": " + what);
}

std::uint32_t Machine::constant(std::uint32_t index) const {
  if (index >= launch_->constants.size()) fault("function constant " + std::to_string(index) + " has no value");
  return launch_->constants[index];
}

void Machine::enter(unsigned high, unsigned low) {
  auto* self = reinterpret_cast<Machine*>((static_cast<std::uintptr_t>(high) << 32) | low);
  for (;;) {
    try {
      (*self->body_)();
    } catch (...) {
      self->error_ = std::current_exception();
    }
    self->wait(State::done);
  }
}

void Machine::wait(State state) {
  Fiber& fiber = *fibers_[current_];
  fiber.state = state;
  if (_setjmp(fiber.context) == 0) _longjmp(scheduler_, 1);
}

void Machine::resume(Fiber& fiber) {
  if (_setjmp(scheduler_) != 0) return;
  if (fiber.is_started) _longjmp(fiber.context, 1);
  fiber.is_started = true;
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack;
  fiber.start.uc_stack.ss_size = kStackBytes;
  fiber.start.uc_link = nullptr;
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&fiber.start, reinterpret_cast<void (*)()>(&Machine::enter), 2, static_cast<unsigned>(self >> 32),
              static_cast<unsigned>(self & 0xffffffffu));
  setcontext(&fiber.start);
}

void Machine::threadgroup_barrier() { wait(State::at_group_barrier); }
void Machine::simdgroup_barrier() { wait(State::at_simd_barrier); }

void Machine::collective(std::uint64_t operation) noexcept {
  std::uint64_t& hash = fibers_[current_]->operations;
  hash = (hash ^ operation) * 0x9E3779B97F4A7C15u + 1;
}

void Machine::check_simd(std::uint32_t simd) const {
  const std::uint32_t first = simd * kSimdWidth;
  const std::uint32_t last = std::min(first + kSimdWidth, launch_->threads);
  for (std::uint32_t t = first + 1; t < last; ++t) {
    if (fibers_[t]->operations != fibers_[first]->operations) {
      fault("the threads of simdgroup " + std::to_string(simd) + " did not do the same simdgroup operations");
    }
  }
}

// After a sweep no thread is ready: opens the barriers that all their threads have reached.
bool Machine::release() {
  const std::uint32_t threads = launch_->threads;
  const std::uint32_t simds = (threads + kSimdWidth - 1) / kSimdWidth;
  const auto all = [&](std::uint32_t first, std::uint32_t last, State state) {
    for (std::uint32_t t = first; t < last; ++t) {
      if (fibers_[t]->state != state) return false;
    }
    return true;
  };
  if (all(0, threads, State::done)) {
    for (std::uint32_t simd = 0; simd < simds; ++simd) check_simd(simd);
    return false;
  }
  if (all(0, threads, State::at_group_barrier)) {
    for (std::uint32_t simd = 0; simd < simds; ++simd) check_simd(simd);
    ++group_epoch_;
    for (std::uint32_t t = 0; t < threads; ++t) fibers_[t]->state = State::ready;
    return true;
  }
  bool is_any = false;
  for (std::uint32_t simd = 0; simd < simds; ++simd) {
    const std::uint32_t first = simd * kSimdWidth;
    const std::uint32_t last = std::min(first + kSimdWidth, threads);
    if (!all(first, last, State::at_simd_barrier)) continue;
    check_simd(simd);
    ++simd_epochs_[simd];
    for (std::uint32_t t = first; t < last; ++t) fibers_[t]->state = State::ready;
    is_any = true;
  }
  if (!is_any) fault("a barrier that some threads never reach");
  return true;
}

void Machine::run_group() {
  const std::uint32_t threads = launch_->threads;
  memory_.assign(launch_->threadgroup_bytes, kPoison);
  units_.assign(launch_->threadgroup_bytes / kUnitBytes, Unit{});
  group_epoch_ = 1;
  simd_epochs_.assign((threads + kSimdWidth - 1) / kSimdWidth, 1);
  while (fibers_.size() < threads) fibers_.push_back(std::make_unique<Fiber>());
  std::vector<std::uint32_t> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint32_t t = 0; t < threads; ++t) {
    fibers_[t]->state = State::ready;
    fibers_[t]->operations = 0;
  }
  do {
    // Whole simdgroups in any order and their threads in any order; half the time all threads are mixed.
    std::ranges::shuffle(order, random_);
    if (random_() % 2 == 0) {
      std::ranges::stable_sort(order, {}, [](std::uint32_t t) { return t / kSimdWidth * 0x9E3779B9u; });
    }
    for (const std::uint32_t t : order) {
      if (fibers_[t]->state != State::ready) continue;
      current_ = t;
      resume(*fibers_[t]);
      if (error_) {
        // The other threads stand in the middle of the kernel and are not to go on.
        fibers_.clear();
        std::rethrow_exception(std::exchange(error_, nullptr));
      }
    }
  } while (release());
}

void Machine::run(const Launch& launch, const Body& body) {
  launch_ = &launch;
  body_ = &body;
  group_x_ = group_y_ = current_ = 0;
  if (launch.threads == 0 || launch.threads > kMaxThreads) {
    fault(std::to_string(launch.threads) + " threads; Metal allows 1 to 1024 in a threadgroup");
  }
  if (launch.threadgroup_bytes > kMaxThreadgroupBytes || launch.threadgroup_bytes % 16 != 0) {
    fault(std::to_string(launch.threadgroup_bytes) + " bytes of threadgroup memory; Metal allows 32768, a multiple of 16");
  }
  if (launch.bindings.size() + 1 > kMaxBuffers) {
    fault(std::to_string(launch.bindings.size() + 1) + " buffers; Metal allows 31");
  }
  if (launch.groups_x == 0 || launch.groups_y == 0) fault("an empty grid");
  ++dispatch_;
  for (const Binding& binding : launch.bindings) {
    if (binding.is_tracked) binding.allocation->words.resize((binding.allocation->bytes.size() + 3) / 4);
  }
  std::vector<std::uint32_t> groups(std::size_t{launch.groups_x} * launch.groups_y);
  std::iota(groups.begin(), groups.end(), 0u);
  std::ranges::shuffle(groups, random_);
  Machine* const outer = std::exchange(machine, this);
  try {
    for (const std::uint32_t group : groups) {
      group_x_ = group % launch.groups_x;
      group_y_ = group / launch.groups_x;
      run_group();
    }
  } catch (...) {
    fibers_.clear();
    machine = outer;
    throw;
  }
  machine = outer;
}

std::byte* Machine::device(const Binding& binding, std::int64_t offset, std::size_t bytes, bool is_write) {
  if (offset < 0 || static_cast<std::size_t>(offset) + bytes > binding.bytes) {
    fault(std::string(is_write ? "writes" : "reads") + " byte " + std::to_string(offset) + " of buffer " +
          std::to_string(binding.index) + ", which has " + std::to_string(binding.bytes));
  }
  const std::size_t at = binding.offset + static_cast<std::size_t>(offset);
  if (binding.is_tracked) {
    // No kernel passes values from thread to thread through device memory, so any two that meet there do so by mistake.
    const std::uint32_t self = (group_y_ * launch_->groups_x + group_x_) * kMaxThreads + current_;
    for (std::size_t w = at / 4; w <= (at + bytes - 1) / 4; ++w) {
      Allocation::Word& word = binding.allocation->words[w];
      if (word.writer_dispatch == dispatch_ && word.writer != self) {
        fault("buffer " + std::to_string(binding.index) + ", byte " + std::to_string(offset) +
              ": another thread writes it in the same dispatch");
      }
      if (is_write) {
        if (word.reader_dispatch == dispatch_ && word.reader != self) {
          fault("buffer " + std::to_string(binding.index) + ", byte " + std::to_string(offset) +
                ": another thread reads it in the same dispatch");
        }
        word.writer_dispatch = dispatch_;
        word.writer = self;
      } else {
        word.reader = word.reader_dispatch == dispatch_ && word.reader != self ? kSeveral : self;
        word.reader_dispatch = dispatch_;
      }
    }
  }
  return binding.allocation->bytes.data() + at;
}

bool Machine::is_ordered(std::uint32_t thread, std::uint32_t group_epoch, std::uint32_t simd_epoch) const noexcept {
  if (group_epoch < group_epoch_ || thread == current_) return true;
  const std::uint32_t simd = current_ / kSimdWidth;
  return thread / kSimdWidth == simd && simd_epoch < simd_epochs_[simd];
}

std::byte* Machine::threadgroup(std::int64_t offset, std::size_t bytes, bool is_write, bool is_collective) {
  if (offset < 0 || static_cast<std::size_t>(offset) + bytes > memory_.size()) {
    fault(std::string(is_write ? "writes" : "reads") + " byte " + std::to_string(offset) + " of threadgroup memory, which has " +
          std::to_string(memory_.size()));
  }
  const auto at = static_cast<std::size_t>(offset);
  const std::uint32_t simd = current_ / kSimdWidth;
  // An operation of the whole simdgroup touches a place for all lanes, so it is in order only with itself.
  const std::uint32_t self = is_collective ? simd * kSimdWidth : current_;
  for (std::size_t u = at / kUnitBytes; u < (at + bytes) / kUnitBytes; ++u) {
    Unit& unit = units_[u];
    if (!is_write && unit.writer == kNobody) fault("reads threadgroup memory that nobody wrote, byte " + std::to_string(u * kUnitBytes));
    if (unit.writer != kNobody && !is_ordered(unit.writer, unit.written_group_epoch, unit.written_simd_epoch)) {
      fault("no barrier between thread " + std::to_string(unit.writer) + "'s writing byte " + std::to_string(u * kUnitBytes) +
            " of threadgroup memory and this thread's " + (is_write ? "writing" : "reading") + " it");
    }
    if (is_write) {
      const bool is_read = unit.reader != kNobody && unit.read_group_epoch == group_epoch_;
      const bool is_apart = unit.reader == kSeveral
                                ? unit.reader_simd == simd && unit.read_simd_epoch < simd_epochs_[simd]
                                : is_ordered(unit.reader, unit.read_group_epoch, unit.read_simd_epoch);
      if (is_read && !is_apart) {
        fault("no barrier between another thread's reading byte " + std::to_string(u * kUnitBytes) +
              " of threadgroup memory and this thread's writing it");
      }
      unit.writer = self;
      unit.written_group_epoch = group_epoch_;
      unit.written_simd_epoch = simd_epochs_[simd];
    } else {
      const bool is_first = unit.reader == kNobody || unit.read_group_epoch != group_epoch_;
      if (is_first || unit.reader == self) {
        unit.reader = self;
        unit.reader_simd = simd;
      } else {
        unit.reader_simd = unit.reader_simd == simd ? simd : kSeveral;
        unit.reader = kSeveral;
      }
      unit.read_group_epoch = group_epoch_;
      unit.read_simd_epoch = simd_epochs_[simd];
    }
  }
  return memory_.data() + at;
}

}  // namespace koe::emulation
