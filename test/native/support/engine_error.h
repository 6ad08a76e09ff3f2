#pragma once
#include <doctest/doctest.h>

#include <string>

#include "engine/error.h"

namespace gnomon::test {

/// What the call says when it fails with EngineError `code`; a failed check where it does not.
template <typename Call>
std::string error_of(const std::string& code, Call call) {
  try {
    call();
  } catch (const EngineError& error) {
    CHECK_MESSAGE(error.code == code, error.what());
    return error.what();
  }
  FAIL_CHECK("expected an error " << code);
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace gnomon::test
