// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what a shared build of the library exports; everything else is hidden.
#if defined(_WIN32) && defined(KOE_SHARED)
#if defined(KOE_BUILDING)
#define KOE_API __declspec(dllexport)
#else
#define KOE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define KOE_API __attribute__((visibility("default")))
#else
#define KOE_API
#endif
