#include "engine/error.h"

#include <new>

namespace gnomon {

EngineError as_engine_error(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const EngineError& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return EngineError("out_of_memory", "the host ran out of memory");
  } catch (const std::exception& error) {
    return EngineError("internal", error.what());
  } catch (...) {
    return EngineError("internal", "something that is no exception was thrown");
  }
}

}  // namespace gnomon
