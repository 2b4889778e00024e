// SPDX-License-Identifier: Apache-2.0
// Everything that koe asks of Metal. One command buffer a chunk, with one compute encoder whose dispatches follow one
// another; buffers are shared with the GPU, so that what goes in and out is copied once, by the CPU.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>

#include <unistd.h>

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#if !__has_feature(objc_arc)
#error "metal.mm wants automatic reference counting (-fobjc-arc)"
#endif

#include "koe/bundle.hpp"
#include "koe/error.hpp"
#include "metal/device.hpp"

namespace koe::metal {
namespace {

constexpr const char kSources[] =
#include "metal_sources.inc"
    ;

constexpr std::size_t kSmallestBuffer = 256;

[[noreturn]] void fail(const std::string& what, NSError* error = nil) {
  std::string message = what;
  if (error != nil) message += ": " + std::string(error.localizedDescription.UTF8String);
  throw Error(message, ErrorKind::kDevice);
}

NSString* text(const std::string& s) { return [NSString stringWithUTF8String:s.c_str()]; }

// The system's GPU where it has what the kernels need; otherwise nil, and why.
id<MTLDevice> find_device(std::string& reason) {
  if (@available(macOS 13.0, iOS 16.0, *)) {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    if (device == nil) {
      reason = "this Apple system gives no Metal device";
      return nil;
    }
    // Matrices of a SIMD-group came with the A14 and the M1 (Metal Feature Set Tables).
    if (![device supportsFamily:MTLGPUFamilyApple7]) {
      reason = "the GPU '" + std::string(device.name.UTF8String) + "' is older than the A14 and M1, or virtual";
      return nil;
    }
    return device;
  }
  reason = "Metal 3 needs macOS 13 or iOS 16";
  return nil;
}

// Where compiled pipelines are kept from run to run, by what they were compiled from; nil where there is no such place.
NSURL* archive_url() {
  NSArray<NSString*>* caches = NSSearchPathForDirectoriesInDomains(NSCachesDirectory, NSUserDomainMask, YES);
  if (caches.count == 0) return nil;
  NSString* folder = [caches.firstObject stringByAppendingPathComponent:@"koe"];
  if (![NSFileManager.defaultManager createDirectoryAtPath:folder withIntermediateDirectories:YES attributes:nil error:nil]) {
    return nil;
  }
  const std::uint64_t hash = xxh64(std::as_bytes(std::span(kSources)));
  NSString* name = [NSString stringWithFormat:@"metal-%016llx.binarchive", static_cast<unsigned long long>(hash)];
  return [NSURL fileURLWithPath:[folder stringByAppendingPathComponent:name]];
}

/// Pipelines, each compiled when it is first asked for, or read from the archive of an earlier run.
class Pipelines {
 public:
  explicit Pipelines(id<MTLDevice> device) : device_(device) {
    MTLCompileOptions* options = [MTLCompileOptions new];
    options.languageVersion = MTLLanguageVersion3_0;
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
    // Its successor, mathMode, is only in the newest systems. Phases need sums in the order they are written in.
    options.fastMathEnabled = NO;
#pragma clang diagnostic pop
    NSError* error = nil;
    library_ = [device newLibraryWithSource:text(kSources) options:options error:&error];
    if (library_ == nil) fail("Metal could not compile koe's kernels", error);
    open_archive();
  }

  ~Pipelines() { save_archive(); }
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  id<MTLComputePipelineState> get(const Dispatch& dispatch) {
    const auto key = std::pair(dispatch.kernel, dispatch.constants);
    const auto found = pipelines_.find(key);
    if (found != pipelines_.end()) return found->second;
    id<MTLComputePipelineState> pipeline = make(dispatch);
    if (dispatch.threads > pipeline.maxTotalThreadsPerThreadgroup) {
      fail("kernel " + std::string(name_of(dispatch.kernel)) + " takes " + std::to_string(dispatch.threads) +
           " threads a threadgroup, and this GPU has registers for " +
           std::to_string(pipeline.maxTotalThreadsPerThreadgroup));
    }
    if (pipeline.threadExecutionWidth != kSimdWidth) {
      fail("this GPU's SIMD-groups have " + std::to_string(pipeline.threadExecutionWidth) + " threads, not 32");
    }
    pipelines_.emplace(key, pipeline);
    return pipeline;
  }

  /// Writes what was compiled since, for the next run. Failing to is no error.
  void save_archive() {
    if (archive_ == nil || !is_changed_) return;
    is_changed_ = false;
    // Another process may read the file meanwhile: it gets the old one or the new one.
    NSString* name = [NSString stringWithFormat:@"%@.%d", archive_url_.lastPathComponent, getpid()];
    NSURL* temporary = [archive_url_.URLByDeletingLastPathComponent URLByAppendingPathComponent:name];
    if ([archive_ serializeToURL:temporary error:nil]) {
      std::rename(temporary.fileSystemRepresentation, archive_url_.fileSystemRepresentation);
    }
  }

 private:
  void open_archive() {
    archive_url_ = archive_url();
    if (archive_url_ == nil) return;
    MTLBinaryArchiveDescriptor* descriptor = [MTLBinaryArchiveDescriptor new];
    if ([archive_url_ checkResourceIsReachableAndReturnError:nil]) descriptor.url = archive_url_;
    archive_ = [device_ newBinaryArchiveWithDescriptor:descriptor error:nil];
    if (archive_ == nil) {
      // Of another system version, or damaged: begin anew.
      descriptor.url = nil;
      archive_ = [device_ newBinaryArchiveWithDescriptor:descriptor error:nil];
    }
  }

  id<MTLComputePipelineState> make(const Dispatch& dispatch) {
    const std::string name = name_of(dispatch.kernel);
    NSError* error = nil;
    id<MTLFunction> function = nil;
    if (has_constants(dispatch.kernel)) {
      MTLFunctionConstantValues* values = [MTLFunctionConstantValues new];
      for (std::size_t i = 0; i < dispatch.constants.size(); ++i) {
        [values setConstantValue:&dispatch.constants[i] type:MTLDataTypeUInt atIndex:i];
      }
      function = [library_ newFunctionWithName:text(name) constantValues:values error:&error];
    } else {
      function = [library_ newFunctionWithName:text(name)];
    }
    if (function == nil) fail("Metal could not specialise kernel " + name, error);
    MTLComputePipelineDescriptor* descriptor = [MTLComputePipelineDescriptor new];
    descriptor.label = text(name);
    descriptor.computeFunction = function;
    if (archive_ != nil) {
      descriptor.binaryArchives = @[ archive_ ];
      id<MTLComputePipelineState> kept = [device_ newComputePipelineStateWithDescriptor:descriptor
                                                                                options:MTLPipelineOptionFailOnBinaryArchiveMiss
                                                                             reflection:nil
                                                                                  error:nil];
      if (kept != nil) return kept;
      if ([archive_ addComputePipelineFunctionsWithDescriptor:descriptor error:nil]) is_changed_ = true;
    }
    id<MTLComputePipelineState> pipeline = [device_ newComputePipelineStateWithDescriptor:descriptor
                                                                                  options:MTLPipelineOptionNone
                                                                               reflection:nil
                                                                                    error:&error];
    if (pipeline == nil) fail("Metal could not compile kernel " + name, error);
    return pipeline;
  }

  id<MTLDevice> device_;
  id<MTLLibrary> library_;
  NSURL* archive_url_ = nil;
  id<MTLBinaryArchive> archive_ = nil;
  bool is_changed_ = false;
  std::map<std::pair<Kernel, std::array<std::uint32_t, kConstants>>, id<MTLComputePipelineState>> pipelines_;
};

class Gpu final : public Device {
 public:
  Gpu(id<MTLDevice> device, std::span<const std::byte> weights)
      : device_(device), queue_([device newCommandQueue]), pipelines_(device) {
    if (queue_ == nil) fail("Metal gives no command queue");
    std::memcpy(reserve(Buffer::weights, weights.size()), weights.data(), weights.size());
    std::memset(reserve(Buffer::none, kSmallestBuffer), 0, kSmallestBuffer);
  }

  std::string name() const override { return device_.name.UTF8String; }

  void run(const Plan& plan, std::span<const Upload> uploads, Buffer from, std::span<float> result) override {
    @autoreleasepool {
      for (std::size_t b = 0; b < plan.bytes.size(); ++b) {
        if (plan.bytes[b] > 0) reserve(static_cast<Buffer>(b), plan.bytes[b]);
      }
      reserve(from, result.size_bytes());
      upload(uploads);
      NSError* error = submit(plan.dispatches);
      if (error != nil) blame(plan, uploads, error);
      std::memcpy(result.data(), buffer(from).contents, result.size_bytes());
      pipelines_.save_archive();
    }
  }

 private:
  id<MTLBuffer> buffer(Buffer b) const { return buffers_[static_cast<std::size_t>(b)]; }

  // At least so many bytes from now on; what was in the buffer is gone when it grows.
  void* reserve(Buffer b, std::size_t bytes) {
    id<MTLBuffer> __strong& held = buffers_[static_cast<std::size_t>(b)];
    const std::size_t size = std::max(bytes, kSmallestBuffer);
    if (held == nil || held.length < size) {
      held = nil;
      held = [device_ newBufferWithLength:size options:MTLResourceStorageModeShared];
      if (held == nil) fail("Metal has no memory for a buffer of " + std::to_string(size) + " bytes");
    }
    return held.contents;
  }

  void upload(std::span<const Upload> uploads) {
    for (const Upload& u : uploads) {
      std::memcpy(reserve(u.buffer, u.values.size_bytes()), u.values.data(), u.values.size_bytes());
    }
  }

  NSError* submit(std::span<const Dispatch> dispatches) {
    id<MTLCommandBuffer> commands = [queue_ commandBuffer];
    // Serial: each dispatch sees what those before it wrote.
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
    if (encoder == nil) fail("Metal gives no command encoder");
    try {
      for (const Dispatch& dispatch : dispatches) encode(dispatch, encoder);
    } catch (...) {
      [encoder endEncoding];
      throw;
    }
    [encoder endEncoding];
    [commands commit];
    [commands waitUntilCompleted];
    if (commands.status == MTLCommandBufferStatusCompleted) return nil;
    if (commands.error != nil) return commands.error;
    return [NSError errorWithDomain:MTLCommandBufferErrorDomain code:MTLCommandBufferErrorInternal userInfo:nil];
  }

  void encode(const Dispatch& dispatch, id<MTLComputeCommandEncoder> encoder) {
    [encoder setComputePipelineState:pipelines_.get(dispatch)];
    [encoder setBytes:dispatch.arguments.data() length:dispatch.arguments.size() atIndex:0];
    for (std::size_t i = 0; i < dispatch.regions.size(); ++i) {
      const Region& region = dispatch.regions[i];
      [encoder setBuffer:buffer(region.buffer) offset:region.offset atIndex:i + 1];
    }
    if (dispatch.threadgroup_bytes > 0) [encoder setThreadgroupMemoryLength:dispatch.threadgroup_bytes atIndex:0];
    [encoder dispatchThreadgroups:MTLSizeMake(dispatch.groups.x, dispatch.groups.y, 1)
            threadsPerThreadgroup:MTLSizeMake(dispatch.threads, 1, 1)];
  }

  // A command buffer's error names no kernel: runs the dispatches again, each by itself, until one fails.
  [[noreturn]] void blame(const Plan& plan, std::span<const Upload> uploads, NSError* error) {
    upload(uploads);
    for (const Dispatch& dispatch : plan.dispatches) {
      NSError* again = submit(std::span(&dispatch, 1));
      if (again != nil) fail("kernel " + std::string(name_of(dispatch.kernel)) + " failed on the GPU", again);
    }
    fail("the GPU failed on a chunk whose " + std::to_string(plan.dispatches.size()) +
             " kernels, the first of them " + name_of(plan.dispatches.front().kernel) + ", pass one by one",
         error);
  }

  id<MTLDevice> device_;
  id<MTLCommandQueue> queue_;
  Pipelines pipelines_;
  std::array<id<MTLBuffer>, kBuffers> buffers_;
};

}  // namespace

std::unique_ptr<Device> open_device(std::span<const std::byte> weights) {
  @autoreleasepool {
    std::string reason;
    id<MTLDevice> device = find_device(reason);
    if (device == nil) fail(reason);
    return std::make_unique<Gpu>(device, weights);
  }
}

std::string device_name(std::string* reason) {
  @autoreleasepool {
    std::string why;
    id<MTLDevice> device = find_device(why);
    if (reason != nullptr) *reason = why;
    return device == nil ? std::string() : std::string(device.name.UTF8String);
  }
}

}  // namespace koe::metal
