#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Opens, speaks, errs and closes 200 times under LeakSanitizer:
#
#     KOE_ONNXRUNTIME=…/libonnxruntime.so bench/leaks.sh PREFIX BUNDLE [ROUNDS]
#
# PREFIX is where a shared koe is installed; BUNDLE holds the voices af_bella and af_sarah.

set -euo pipefail

prefix=$1 bundle=$2 rounds=${3:-200}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${CC:-cc}" -g -fsanitize=leak -I "$prefix/include" "$here/tests/consumer/leaks.c" -o "$work/leaks" -L "$prefix/lib" -lkoe \
  -Wl,-rpath,"$prefix/lib"
time "$work/leaks" "$bundle" "həlˈO" "$rounds"
echo "no leaks in $rounds rounds"
