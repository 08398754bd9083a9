// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/items.hpp"

namespace tailrace::shm {
namespace {

// Recursion is bounded: a cursor deeper than kMaxCursorDepth is broken from the start.
bool walk(ItemCursor cursor) {
  ItemRef item;
  for (;;) {
    switch (cursor.next(item)) {
      case Next::end: return true;
      case Next::broken: return false;
      case Next::found: break;
    }
    if (!walk(item.inside())) return false;
  }
}

}  // namespace

bool items_are_whole(Bytes items) { return walk(ItemCursor(items)); }

}  // namespace tailrace::shm
