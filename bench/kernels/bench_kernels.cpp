// SPDX-License-Identifier: Apache-2.0
// How fast every kernel of every table is that this machine can run, beside the ceiling measured in the same run: for
// products, independent chains of the instruction that they use; for what streams, a copy of memory. Prints Markdown.
//
//   bench_kernels [--seconds 0.2] [--threads 1] [--table avx2]
//
// Threads, if more than one, all do the same work on buffers of their own, and rates add up.
#include <algorithm>
#include <barrier>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ceilings.hpp"
#include "kernels/dispatch.hpp"

namespace koe::bench {
namespace {

using kernels::Activation;
using kernels::Precision;
using kernels::Product;
using kernels::Table;

// As the vocoder cuts its work.
constexpr std::size_t kBlockRows = 240;
constexpr std::size_t kStreamBytes = std::size_t{64} << 20;

struct Options {
  double seconds = 0.2;
  std::size_t threads = 1;
  std::string_view table;
};

struct Shape {
  std::size_t in;
  std::size_t out;
  std::size_t taps;
  std::size_t dilation;
};

constexpr Shape kShapes[] = {{128, 128, 3, 1},  {128, 128, 7, 3},   {128, 128, 11, 5}, {256, 256, 3, 1},
                             {256, 256, 7, 3},  {256, 256, 11, 5},  {128, 22, 7, 1},   {22, 128, 1, 1},
                             {1024, 1024, 3, 1}};

template <class T>
class Aligned {
 public:
  explicit Aligned(std::size_t n) : data_(static_cast<T*>(::operator new(n * sizeof(T), kAlignment))), size_(n) {}
  ~Aligned() { ::operator delete(data_, kAlignment); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;

  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  void fill(T value) const noexcept { std::fill_n(data_, size_, value); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  T* data_;
  std::size_t size_;
};

/// Floats between -1 and 1 without a pattern, the same each time.
void scatter(const Aligned<float>& values) noexcept {
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    state = state * 1664525u + 1013904223u;
    values.data()[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
}

constexpr std::size_t round_up(std::size_t n, std::size_t step) noexcept { return (n + step - 1) / step * step; }

/// One repetition's work: operations or bytes.
using Step = std::function<double()>;

/// Work a second, all threads together. `make` is called once in each of them.
double rate(const Options& options, const std::function<Step()>& make) {
  std::vector<double> rates(options.threads);
  std::barrier start(static_cast<std::ptrdiff_t>(options.threads));
  const auto work = [&](std::size_t thread) {
    using Clock = std::chrono::steady_clock;
    const Step step = make();
    step();
    start.arrive_and_wait();
    // The fastest of five: what else runs on the machine only ever adds time.
    for (int i = 0; i < 5; ++i) {
      double done = 0;
      const auto begin = Clock::now();
      std::chrono::duration<double> passed{};
      do {
        done += step();
        passed = Clock::now() - begin;
      } while (passed.count() < options.seconds / 5);
      rates[thread] = std::max(rates[thread], done / passed.count());
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < options.threads; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
  double total = 0;
  for (const double r : rates) total += r;
  return total;
}

const Product& product_of(const Table& table, Precision precision) noexcept {
  return precision == Precision::float32 ? table.float32 : precision == Precision::bfloat16 ? table.bfloat16 : table.int8;
}

const char* name_of(Precision precision) noexcept {
  return precision == Precision::float32 ? "float32" : precision == Precision::bfloat16 ? "bfloat16" : "int8";
}

std::size_t values_in_granule(Precision precision) noexcept {
  return precision == Precision::float32 ? 1 : precision == Precision::bfloat16 ? 2 : 4;
}

Step make_conv(const Product& product, Precision precision, const Shape& shape) {
  struct Buffers {
    Buffers(std::size_t input_bytes, std::size_t weight_bytes, std::size_t readable, std::size_t channels, std::size_t taps)
        : input(input_bytes), weights(weight_bytes), row_scale(readable), weight_scale(channels), bias(channels),
          weight_sum(taps * channels), out(kBlockRows * channels), sums(2 * channels) {}
    Aligned<std::byte> input, weights;
    Aligned<float> row_scale, weight_scale, bias;
    Aligned<std::int32_t> weight_sum;
    Aligned<float> out, sums;
  };
  const std::size_t values = values_in_granule(precision);
  const std::size_t granules = round_up(shape.in, 16 * values) / values;
  const std::size_t channels = round_up(shape.out, 16);
  const std::size_t readable = round_up(kBlockRows, product.tile_rows) + (shape.taps - 1) * shape.dilation;
  auto b = std::make_shared<Buffers>(readable * granules * 4, channels * shape.taps * granules * 4, readable, channels, shape.taps);
  // The bytes 0x3c in every place: 0.0115 as float32 and bfloat16, 60 as an integer.
  b->input.fill(std::byte{0x3c});
  b->weights.fill(std::byte{0x3c});
  b->row_scale.fill(1e-3f);
  b->weight_scale.fill(1e-3f);
  b->bias.fill(0.1f);
  b->weight_sum.fill(static_cast<std::int32_t>(60 * granules * values * product.zero));
  b->out.fill(0.0f);
  const double operations = 2.0 * kBlockRows * static_cast<double>(shape.taps * shape.in * shape.out);
  return [b, &product, shape, granules, channels, operations] {
    b->sums.fill(0.0f);
    product.conv({
        .input = b->input.data(),
        .input_stride = granules * 4,
        .rows = kBlockRows,
        .row_step = 1,
        .taps = shape.taps,
        .dilation = shape.dilation,
        .granules = granules,
        .weights = b->weights.data(),
        .channels = channels,
        .channel_stride = channels,
        .weight_scale = b->weight_scale.data(),
        .weight_sum = b->weight_sum.data(),
        .row_scale = b->row_scale.data(),
        .bias = b->bias.data(),
        .residual = b->out.data(),
        .accumulate = nullptr,
        .gain = 0.5f,
        .out = b->out.data(),
        .out_stride = channels,
        .sums = b->sums.data(),
    });
    return operations;
  };
}

Step make_stage(const Product& product, Precision precision, Activation activation) {
  constexpr std::size_t kChannels = 128;
  struct Buffers {
    Aligned<float> x{kStreamBytes / sizeof(float)};
    Aligned<float> scale{kChannels}, shift{kChannels}, over_pi{kChannels}, inverse{kChannels}, row_scale{kBlockRows};
    Aligned<std::byte> out{kBlockRows * kChannels * 4};
    std::size_t at = 0;
  };
  auto b = std::make_shared<Buffers>();
  scatter(b->x);
  b->scale.fill(1.5f);
  b->shift.fill(0.25f);
  b->over_pi.fill(0.5f);
  b->inverse.fill(0.6366f);
  const std::size_t row_bytes = kChannels * 4 / values_in_granule(precision);
  return [b, &product, activation, row_bytes] {
    // Out of memory, not out of the cache: the vocoder's rows are longer ago than that.
    if (b->at + kBlockRows * kChannels > b->x.size()) b->at = 0;
    product.stage({
        .x = b->x.data() + b->at,
        .x_stride = kChannels,
        .rows = kBlockRows,
        .channels = kChannels,
        .scale = b->scale.data(),
        .shift = b->shift.data(),
        .activation = activation,
        .slope = 0.1f,
        .alpha_over_pi = b->over_pi.data(),
        .inverse_alpha = b->inverse.data(),
        .out = b->out.data(),
        .out_stride = row_bytes,
        .row_scale = b->row_scale.data(),
    });
    b->at += kBlockRows * kChannels;
    return static_cast<double>(kBlockRows * (kChannels * sizeof(float) + row_bytes));
  };
}

// What minimal filtering does with a block: 11 taps of 128 channels, a panel of output channels at a time.
constexpr std::size_t kFilterTiles = kBlockRows / 8;
constexpr int kFilterPairs = 8;
constexpr std::size_t kFilterPoints = 2 * kFilterPairs + 2;
constexpr std::size_t kFilterTaps = 11;
constexpr std::size_t kFilterChannels = 128;

Step make_filter_in(const Table& table) {
  struct Buffers {
    Aligned<float> x{kStreamBytes / sizeof(float)};
    Aligned<float> matrix{(kFilterPairs + 1) * (kFilterPairs + 1)};
    Aligned<float> out{kFilterPoints * kFilterTiles * kFilterChannels};
    std::size_t at = 0;
  };
  auto b = std::make_shared<Buffers>();
  scatter(b->x);
  scatter(b->matrix);
  return [b, &table] {
    if (b->at + (kBlockRows + kFilterTaps) * kFilterChannels > b->x.size()) b->at = 0;
    table.filter_in({.x = b->x.data() + b->at, .x_stride = kFilterChannels, .dilation = 1, .tiles = kFilterTiles,
                     .channels = kFilterChannels, .pairs = kFilterPairs, .matrix = b->matrix.data(), .out = b->out.data(),
                     .point_stride = kFilterTiles * kFilterChannels});
    b->at += kBlockRows * kFilterChannels;
    return static_cast<double>((kBlockRows * kFilterChannels + b->out.size()) * sizeof(float));
  };
}

Step make_filter_weights(const Table& table) {
  struct Buffers {
    explicit Buffers(std::size_t values)
        : q(kFilterTaps * kFilterChannels * values), scale(values), zero(values), out(kFilterPoints * kFilterChannels * values) {}
    Aligned<std::int8_t> q;
    Aligned<float> scale, zero;
    Aligned<float> matrix{2 + kFilterPairs * kFilterTaps};
    Aligned<float> out;
  };
  const std::size_t values = table.float32.tile_channels;
  auto b = std::make_shared<Buffers>(values);
  b->q.fill(3);
  b->scale.fill(0.01f);
  b->zero.fill(1.0f);
  scatter(b->matrix);
  return [b, &table, values] {
    table.filter_weights({.q = b->q.data(), .tap_stride = kFilterChannels * values, .lines = kFilterChannels, .values = values,
                          .scale = b->scale.data(), .zero = b->zero.data(), .pairs = kFilterPairs, .matrix = b->matrix.data(),
                          .out = b->out.data()});
    return static_cast<double>(b->q.size() + b->out.size() * sizeof(float));
  };
}

// The products at one point, whose inputs and weights were in L2 at best.
Step make_filter_products(const Product& product) {
  struct Buffers {
    explicit Buffers(std::size_t width)
        : x((kFilterPoints * kFilterTiles + 16) * kFilterChannels), weights(kFilterPoints * kFilterChannels * width),
          out(kFilterTiles * width) {}
    Aligned<float> x, weights, out;
    std::size_t point = 0;
  };
  const std::size_t width = product.tile_channels;
  auto b = std::make_shared<Buffers>(width);
  scatter(b->x);
  scatter(b->weights);
  return [b, &product, width] {
    b->point = (b->point + 1) % kFilterPoints;
    product.conv({.input = b->x.data() + b->point * kFilterTiles * kFilterChannels,
                  .input_stride = kFilterChannels * sizeof(float),
                  .rows = kFilterTiles,
                  .row_step = 1,
                  .taps = 1,
                  .dilation = 1,
                  .granules = kFilterChannels,
                  .weights = b->weights.data() + b->point * kFilterChannels * width,
                  .channels = width,
                  .channel_stride = width,
                  .weight_scale = nullptr,
                  .weight_sum = nullptr,
                  .row_scale = nullptr,
                  .bias = nullptr,
                  .residual = nullptr,
                  .accumulate = nullptr,
                  .gain = 1.0f,
                  .out = b->out.data(),
                  .out_stride = width,
                  .sums = nullptr});
    return 2.0 * static_cast<double>(kFilterTiles * kFilterChannels * width);
  };
}

Step make_filter_out(const Table& table) {
  struct Buffers {
    explicit Buffers(std::size_t width)
        : products(kFilterPoints * kFilterTiles * width), bias(width), out(kBlockRows * kFilterChannels), sums(2 * width) {}
    Aligned<float> products, bias, out, sums;
    Aligned<float> powers{kFilterPairs * 8};
  };
  const std::size_t width = table.float32.tile_channels;
  auto b = std::make_shared<Buffers>(width);
  for (const Aligned<float>* buffer : {&b->products, &b->bias, &b->out, &b->powers}) scatter(*buffer);
  return [b, &table, width] {
    b->sums.fill(0.0f);
    table.filter_out({.products = b->products.data(), .point_stride = kFilterTiles * width, .product_stride = width, .dilation = 1,
                      .tiles = kFilterTiles, .channels = width, .pairs = kFilterPairs, .powers = b->powers.data(),
                      .rows = kBlockRows, .bias = b->bias.data(), .residual = b->out.data(), .accumulate = nullptr, .gain = 0.25f,
                      .out = b->out.data(), .out_stride = kFilterChannels, .sums = b->sums.data(), .channel_stride = width});
    return static_cast<double>((b->products.size() + 2 * kBlockRows * width) * sizeof(float));
  };
}

Step make_sums(const Table& table) {
  constexpr std::size_t kChannels = 128;
  struct Buffers {
    Aligned<float> x{kStreamBytes / sizeof(float)};
    Aligned<float> sums{2 * kChannels};
    std::size_t at = 0;
  };
  auto b = std::make_shared<Buffers>();
  scatter(b->x);
  return [b, &table] {
    if (b->at + kBlockRows * kChannels > b->x.size()) b->at = 0;
    b->sums.fill(0.0f);
    table.sums(b->x.data() + b->at, kChannels, kBlockRows, kChannels, b->sums.data());
    b->at += kBlockRows * kChannels;
    return static_cast<double>(kBlockRows * kChannels * sizeof(float));
  };
}

Step make_copy() {
  struct Buffers {
    Aligned<std::byte> from{kStreamBytes}, to{kStreamBytes};
  };
  auto b = std::make_shared<Buffers>();
  b->from.fill(std::byte{1});
  b->to.fill(std::byte{2});
  return [b] {
    std::memcpy(b->to.data(), b->from.data(), kStreamBytes);
    __asm__ volatile("" ::"r"(b->to.data()) : "memory");
    return 2.0 * kStreamBytes;
  };
}

/// A ceiling and what it came to.
struct Measured {
  const Ceiling* ceiling;
  std::size_t table;  // its place among the tables
  double per_second;
};

std::vector<Measured> measure_ceilings(const Options& options) {
  std::vector<Measured> measured;
  const auto& tables = kernels::available();
  for (const Ceiling& ceiling : ceilings()) {
    const auto table = std::ranges::find_if(tables, [&](const Table* t) { return std::string_view(t->name) == ceiling.table; });
    if (table == tables.end()) continue;
    const double r = rate(options, [&]() -> Step { return [&] { return static_cast<double>(ceiling.run(20'000)); }; });
    measured.push_back({&ceiling, static_cast<std::size_t>(table - tables.begin()), r});
    std::printf("| %s | %s | %.0f |\n", ceiling.instruction, name_of(ceiling.precision), r * 1e-9);
    std::fflush(stdout);
  }
  return measured;
}

/// The highest that a table has, with all below it; or null.
const Measured* best_ceiling(const std::vector<Measured>& measured, Precision precision, std::size_t table) noexcept {
  const Measured* best = nullptr;
  for (const Measured& m : measured) {
    const bool usable = m.ceiling->precision == precision && m.table <= table;
    if (usable && (best == nullptr || m.per_second > best->per_second)) best = &m;
  }
  return best;
}

void print_row(const Table& table, const std::string& what, double per_second, const char* unit, const char* against,
               double ceiling) {
  if (ceiling > 0) {
    std::printf("| %s | %s | %.1f %s | %s | %.0f %% |\n", table.name, what.c_str(), per_second * 1e-9, unit, against,
                100 * per_second / ceiling);
  } else {
    std::printf("| %s | %s | %.1f %s | | |\n", table.name, what.c_str(), per_second * 1e-9, unit);
  }
  std::fflush(stdout);
}

void bench_table(const Options& options, std::size_t index, const std::vector<Measured>& measured, double copy) {
  const Table& table = *kernels::available()[index];
  for (const Precision precision : {Precision::float32, Precision::bfloat16, Precision::int8}) {
    const Product& product = product_of(table, precision);
    if (product.conv == nullptr) continue;
    const Measured* best = best_ceiling(measured, precision, index);
    for (const Shape& s : kShapes) {
      const double r = rate(options, [&] { return make_conv(product, precision, s); });
      print_row(table, std::string(name_of(precision)) + " conv " + std::to_string(s.in) + "→" + std::to_string(s.out) + ", k " +
                           std::to_string(s.taps), r, "GOP/s", best != nullptr ? best->ceiling->instruction : "",
                best != nullptr ? best->per_second : 0);
    }
    for (const auto& [activation, name] : {std::pair{Activation::leaky, "leaky"}, std::pair{Activation::snake, "snake"}}) {
      const double r = rate(options, [&] { return make_stage(product, precision, activation); });
      print_row(table, std::string(name_of(precision)) + " stage, " + name, r, "GB/s", "copy", copy);
    }
  }
  if (table.filter_in != nullptr) {
    const Measured* best = best_ceiling(measured, Precision::float32, index);
    print_row(table, "float32 filter, products at a point", rate(options, [&] { return make_filter_products(table.float32); }),
              "GOP/s", best != nullptr ? best->ceiling->instruction : "", best != nullptr ? best->per_second : 0);
    print_row(table, "float32 filter, inputs", rate(options, [&] { return make_filter_in(table); }), "GB/s", "copy", copy);
    print_row(table, "float32 filter, 8-bit weights", rate(options, [&] { return make_filter_weights(table); }), "GB/s", "copy", copy);
    print_row(table, "float32 filter, outputs", rate(options, [&] { return make_filter_out(table); }), "GB/s", "copy", copy);
  }
  print_row(table, "sums", rate(options, [&] { return make_sums(table); }), "GB/s", "copy", copy);
}

template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = argv[i + 1];
    if (name == "--seconds" ? parse(value, options.seconds) : name == "--threads" && parse(value, options.threads)) continue;
    if (name != "--table") return false;
    options.table = value;
  }
  return argc % 2 == 1;
}

int run(const Options& options) {
  if (!options.table.empty()) kernels::select(options.table);  // throws where there is none of that name
  std::printf("Threads: %zu. GOP/s count a multiplication and an addition as two.\n\n", options.threads);
  std::printf("| ceiling | | a second |\n| --- | --- | --- |\n");
  const std::vector<Measured> measured = measure_ceilings(options);
  const double copy = rate(options, make_copy);
  std::printf("| copy of memory, bytes read and written | | %.1f GB |\n", copy * 1e-9);
  std::printf("\n| table | kernel | rate | ceiling | share |\n| --- | --- | --- | --- | --- |\n");
  const auto& tables = kernels::available();
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (options.table.empty() || options.table == tables[i]->name) bench_table(options, i, measured, copy);
  }
  return 0;
}

}  // namespace
}  // namespace koe::bench

int main(int argc, char** argv) {
  koe::bench::Options options;
  if (!koe::bench::parse(argc, argv, options)) {
    std::fputs("usage: bench_kernels [--seconds S] [--threads N] [--table NAME]\n", stderr);
    return 2;
  }
  try {
    return koe::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_kernels: %s\n", error.what());
    return 1;
  }
}
