// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace koe::vocoder {

/// A fixed set of threads that share out numbered tasks. The caller works too, so a pool of one starts no thread. Tasks must
/// not throw. One `run` at a time: the vocoder holds its lock around all of them.
class ThreadPool {
 public:
  /// 0 means as many as the process may use processors.
  explicit ThreadPool(std::size_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t size() const noexcept { return workers_.size() + 1; }

  /// Calls f(task, worker) for each task < n_tasks, worker < size(), and returns when all are done.
  template <class F>
  void run(std::size_t n_tasks, F&& f) {
    using Function = std::remove_reference_t<F>;
    run(n_tasks, [](void* context, std::size_t task, std::size_t worker) { (*static_cast<Function*>(context))(task, worker); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using Call = void (*)(void* context, std::size_t task, std::size_t worker);
  void run(std::size_t n_tasks, Call call, void* context);
  void work(std::size_t worker);
  void take_tasks(std::unique_lock<std::mutex>& lock, std::size_t worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  Call call_ = nullptr;
  void* context_ = nullptr;
  std::size_t n_tasks_ = 0;
  std::size_t next_ = 0;
  std::size_t pending_ = 0;
  bool stop_ = false;
};

}  // namespace koe::vocoder
