// SPDX-License-Identifier: Apache-2.0
#include "vocoder/threads.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>

namespace koe::vocoder {
namespace {

std::size_t usable_processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

ThreadPool::ThreadPool(std::size_t n_threads) {
  if (n_threads == 0) n_threads = usable_processors();
  workers_.reserve(n_threads - 1);
  for (std::size_t i = 1; i < n_threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::size_t n_tasks, Call call, void* context) {
  if (workers_.empty() || n_tasks <= 1) {
    for (std::size_t task = 0; task < n_tasks; ++task) call(context, task, 0);
    return;
  }
  std::unique_lock lock(mutex_);
  call_ = call;
  context_ = context;
  n_tasks_ = pending_ = n_tasks;
  next_ = 0;
  started_.notify_all();
  take_tasks(lock, 0);
  finished_.wait(lock, [this] { return pending_ == 0; });
}

// A task is a block of hundreds of frames, so a lock around the counter costs nothing that could be measured.
void ThreadPool::take_tasks(std::unique_lock<std::mutex>& lock, std::size_t worker) {
  while (next_ < n_tasks_) {
    const std::size_t task = next_++;
    lock.unlock();
    call_(context_, task, worker);
    lock.lock();
    if (--pending_ == 0) finished_.notify_all();
  }
}

void ThreadPool::work(std::size_t worker) {
  std::unique_lock lock(mutex_);
  while (true) {
    started_.wait(lock, [this] { return stop_ || next_ < n_tasks_; });
    if (stop_) return;
    take_tasks(lock, worker);
  }
}

}  // namespace koe::vocoder
