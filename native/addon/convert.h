#pragma once
// Between the objects of native/binding.ts and the structs of engine.h. JavaScript has validated
// and filled every field; nothing is checked again. JavaScript thread only.

#include <napi.h>

#include <span>

#include "engine/engine.h"
#include "engine/inspect.h"

namespace gnomon {

EngineOptions to_engine_options(const Napi::Object& options);
GenerateRequest to_generate_request(const Napi::Object& request);

Napi::Value to_js(Napi::Env env, std::span<const uint32_t> tokens);
Napi::Value to_js(Napi::Env env, const Progress& progress);
Napi::Value to_js(Napi::Env env, const GenerateResult& result);
Napi::Value to_js(Napi::Env env, const Plan& plan);
Napi::Value to_js(Napi::Env env, const EngineStats& stats);
Napi::Value to_js(Napi::Env env, const ModelInfo& model);
Napi::Value to_js(Napi::Env env, const Inspection& inspection);
/// An Error with the code as its `code`.
Napi::Error to_js_error(Napi::Env env, const EngineError& error);

}  // namespace gnomon
