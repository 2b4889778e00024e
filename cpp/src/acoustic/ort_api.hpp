// SPDX-License-Identifier: Apache-2.0
// The part of ONNX Runtime's C API that koe calls, so that building koe needs no ONNX Runtime.
//
// The API is a table of function pointers whose order never changes: a release only appends to it. Facts taken from
// include/onnxruntime/core/session/onnxruntime_c_api.h of ONNX Runtime (https://github.com/microsoft/onnxruntime, MIT):
// each function's place and signature, and the values of the enumerations.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define KOE_ORT_CALL __stdcall
#else
#define KOE_ORT_CALL
#endif

namespace koe::ort {

/// Release 1.N has the table of every version up to N. All that koe calls is in version 5; 11 is the first release that
/// runs what recent exporters write.
inline constexpr std::uint32_t kApiVersion = 11;

struct Env;
struct Status;
struct MemoryInfo;
struct Session;
struct SessionOptions;
struct RunOptions;
struct Value;
struct TensorInfo;
struct Allocator;

inline constexpr int kLogFatal = 4;
inline constexpr int kDisableAll = 0;  // ORT_DISABLE_ALL, of GraphOptimizationLevel
inline constexpr int kFloat = 1;   // ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
inline constexpr int kInt64 = 7;   // ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
inline constexpr int kArena = 1;   // OrtArenaAllocator
inline constexpr int kDefaultMemory = 0;

using Slot = const void*;
template <typename... Arguments>
using Call = Status*(KOE_ORT_CALL*)(Arguments...);
template <typename T>
using Release = void(KOE_ORT_CALL*)(T*);

struct Api {
  Slot before_error_code[1];
  int(KOE_ORT_CALL* get_error_code)(const Status*);
  const char*(KOE_ORT_CALL* get_error_message)(const Status*);
  Call<int, const char*, Env**> create_env;
  Slot after_create_env[4];
  Call<const Env*, const void*, std::size_t, const SessionOptions*, Session**> create_session_from_array;
  Call<Session*, const RunOptions*, const char* const*, const Value* const*, std::size_t, const char* const*, std::size_t,
       Value**>
      run;
  Call<SessionOptions**> create_session_options;
  Slot after_create_session_options[6];
  Call<SessionOptions*> disable_mem_pattern;
  Slot after_disable_mem_pattern[4];
  Call<SessionOptions*, int> set_session_log_severity_level;
  Call<SessionOptions*, int> set_session_graph_optimization_level;
  Call<SessionOptions*, int> set_intra_op_num_threads;
  Call<SessionOptions*, int> set_inter_op_num_threads;
  Slot after_num_threads[4];
  Call<const Session*, std::size_t*> session_get_input_count;
  Slot after_input_count[5];
  Call<const Session*, std::size_t, Allocator*, char**> session_get_input_name;
  Slot after_input_name[12];
  Call<const MemoryInfo*, void*, std::size_t, const std::int64_t*, std::size_t, int, Value**> create_tensor_with_data;
  Slot after_create_tensor[1];
  Call<Value*, void**> get_tensor_mutable_data;
  Slot after_tensor_data[8];
  Call<const TensorInfo*, int*> get_tensor_element_type;
  Call<const TensorInfo*, std::size_t*> get_dimensions_count;
  Call<const TensorInfo*, std::int64_t*, std::size_t> get_dimensions;
  Slot after_dimensions[2];
  Call<const Value*, TensorInfo**> get_tensor_type_and_shape;
  Slot after_type_and_shape[3];
  Call<int, int, MemoryInfo**> create_cpu_memory_info;
  Slot after_memory_info[6];
  Call<Allocator*, void*> allocator_free;
  Slot after_allocator_free[1];
  Call<Allocator**> get_allocator_with_default_options;
  Slot after_default_allocator[13];
  Release<Env> release_env;
  Release<Status> release_status;
  Release<MemoryInfo> release_memory_info;
  Release<Session> release_session;
  Release<Value> release_value;
  Slot after_release_value[2];
  Release<TensorInfo> release_tensor_info;
  Release<SessionOptions> release_session_options;
  Slot after_release_session_options[29];
  Call<SessionOptions*, const char*, const char*> add_session_config_entry;
};

constexpr std::size_t slot(std::size_t offset) noexcept { return offset / sizeof(Slot); }

static_assert(slot(offsetof(Api, get_error_code)) == 1);
static_assert(slot(offsetof(Api, get_error_message)) == 2);
static_assert(slot(offsetof(Api, create_env)) == 3);
static_assert(slot(offsetof(Api, create_session_from_array)) == 8);
static_assert(slot(offsetof(Api, run)) == 9);
static_assert(slot(offsetof(Api, create_session_options)) == 10);
static_assert(slot(offsetof(Api, disable_mem_pattern)) == 17);
static_assert(slot(offsetof(Api, set_session_log_severity_level)) == 22);
static_assert(slot(offsetof(Api, set_session_graph_optimization_level)) == 23);
static_assert(slot(offsetof(Api, set_intra_op_num_threads)) == 24);
static_assert(slot(offsetof(Api, set_inter_op_num_threads)) == 25);
static_assert(slot(offsetof(Api, session_get_input_count)) == 30);
static_assert(slot(offsetof(Api, session_get_input_name)) == 36);
static_assert(slot(offsetof(Api, create_tensor_with_data)) == 49);
static_assert(slot(offsetof(Api, get_tensor_mutable_data)) == 51);
static_assert(slot(offsetof(Api, get_tensor_element_type)) == 60);
static_assert(slot(offsetof(Api, get_dimensions_count)) == 61);
static_assert(slot(offsetof(Api, get_dimensions)) == 62);
static_assert(slot(offsetof(Api, get_tensor_type_and_shape)) == 65);
static_assert(slot(offsetof(Api, create_cpu_memory_info)) == 69);
static_assert(slot(offsetof(Api, allocator_free)) == 76);
static_assert(slot(offsetof(Api, get_allocator_with_default_options)) == 78);
static_assert(slot(offsetof(Api, release_env)) == 92);
static_assert(slot(offsetof(Api, release_status)) == 93);
static_assert(slot(offsetof(Api, release_memory_info)) == 94);
static_assert(slot(offsetof(Api, release_session)) == 95);
static_assert(slot(offsetof(Api, release_value)) == 96);
static_assert(slot(offsetof(Api, release_tensor_info)) == 99);
static_assert(slot(offsetof(Api, release_session_options)) == 100);
static_assert(slot(offsetof(Api, add_session_config_entry)) == 130);

/// What the library's one symbol, OrtGetApiBase, gives.
struct ApiBase {
  const Api*(KOE_ORT_CALL* get_api)(std::uint32_t version);
  const char*(KOE_ORT_CALL* get_version_string)();
};

using GetApiBase = const ApiBase* KOE_ORT_CALL();

}  // namespace koe::ort
