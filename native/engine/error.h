#pragma once
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace gnomon {

/// Every failure a caller can see. The string crosses to JavaScript as `code`.
///   invalid_model       a file of the model directory is missing, damaged or unsupported
///   invalid_options     an engine or cache option is out of range
///   invalid_request     a generate request is malformed
///   context_overflow    prompt + new tokens exceed the model's positions
///   out_of_memory       the memory ledger or the device cannot hold it
///   device_unavailable  the asked-for device does not exist here
///   device_failed       the device reported an error, or memory ran out while several sequences
///                       decoded; the engine is unusable from now on
///   cancelled           the request was cancelled
///   closed              the engine was closed
///   internal            a bug
struct EngineError : std::runtime_error {
  std::string code;
  EngineError(std::string code, const std::string& message)
      : std::runtime_error(message), code(std::move(code)) {}
};

/// What was thrown: an EngineError as it is, std::bad_alloc as out_of_memory, all else as internal.
EngineError as_engine_error(std::exception_ptr thrown);

}  // namespace gnomon
