#include "cuda/linear.h"

#include <memory>
#include <string>

#include "cuda/check.h"

namespace gnomon::cuda {

/// cuBLASLt is column-major: it computes y^T (outputs, rows) = weight (transposed) x^T.
struct Linear::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t weight = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

  ~Plan() {
    if (y) cublasLtMatrixLayoutDestroy(y);
    if (x) cublasLtMatrixLayoutDestroy(x);
    if (weight) cublasLtMatrixLayoutDestroy(weight);
    if (operation) cublasLtMatmulDescDestroy(operation);
  }
};

Linear::Linear(size_t workspace_bytes) : workspace_bytes_(workspace_bytes) {
  CUDA_CHECK(cublasLtCreate(&handle_));
  CUDA_CHECK(cudaMalloc(&workspace_, workspace_bytes_));
}

Linear::~Linear() {
  for (const auto& [key, plan] : plans_) delete plan;
  cudaFree(workspace_);
  cublasLtDestroy(handle_);
}

const Linear::Plan& Linear::plan(const Key& key) {
  if (const auto it = plans_.find(key); it != plans_.end()) return *it->second;
  const auto& [rows, inputs, outputs, kind] = key;
  auto made = std::make_unique<Plan>();
  CUDA_CHECK(cublasLtMatmulDescCreate(&made->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  // In column-major terms a gram product is x (width, rows) times its transpose.
  const cublasOperation_t transpose = CUBLAS_OP_T;
  CUDA_CHECK(cublasLtMatmulDescSetAttribute(
      made->operation, kind.is_gram ? CUBLASLT_MATMUL_DESC_TRANSB : CUBLASLT_MATMUL_DESC_TRANSA,
      &transpose, sizeof(transpose)));
  if (kind.has_bias) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t bias_type = kElementDataType;
    CUDA_CHECK(cublasLtMatmulDescSetAttribute(made->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                              &epilogue, sizeof(epilogue)));
    CUDA_CHECK(cublasLtMatmulDescSetAttribute(made->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                                              &bias_type, sizeof(bias_type)));
  }
  const int64_t a_cols = kind.is_gram ? rows : outputs, y_cols = kind.is_gram ? inputs : rows;
  CUDA_CHECK(cublasLtMatrixLayoutCreate(&made->weight, kElementDataType, inputs, a_cols, inputs));
  CUDA_CHECK(cublasLtMatrixLayoutCreate(&made->x, kElementDataType, inputs, rows, inputs));
  CUDA_CHECK(cublasLtMatrixLayoutCreate(&made->y, kind.fp32_out ? CUDA_R_32F : kElementDataType,
                                        outputs, y_cols, outputs));

  cublasLtMatmulPreference_t preference = nullptr;
  CUDA_CHECK(cublasLtMatmulPreferenceCreate(&preference));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  cublasStatus_t status =
      cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &workspace_bytes_, sizeof(workspace_bytes_));
  if (status == CUBLAS_STATUS_SUCCESS) {
    status = cublasLtMatmulAlgoGetHeuristic(handle_, made->operation, made->weight, made->x,
                                            made->y, made->y, preference, 1, &best, &found);
  }
  cublasLtMatmulPreferenceDestroy(preference);
  CUDA_CHECK(status);
  if (found == 0) {
    throw EngineError("device_failed", "cuBLASLt has no product of " + std::to_string(rows) +
                                           " x " + std::to_string(inputs) + " x " +
                                           std::to_string(outputs));
  }
  made->algorithm = best.algo;
  return *plans_.emplace(key, made.release()).first->second;
}

void Linear::run(const Product& p, cudaStream_t stream) {
  const Plan& plan =
      this->plan({p.rows, p.inputs, p.outputs, {p.fp32_out, p.bias != nullptr, false}});
  if (p.bias != nullptr) {
    CUDA_CHECK(cublasLtMatmulDescSetAttribute(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                              &p.bias, sizeof(p.bias)));
  }
  const float one = 1.0f, beta = p.accumulate ? 1.0f : 0.0f;
  CUDA_CHECK(cublasLtMatmul(handle_, plan.operation, &one, p.weight, plan.weight, p.x, plan.x,
                            &beta, p.y, plan.y, p.y, plan.y, &plan.algorithm, workspace_,
                            workspace_bytes_, stream));
}

void Linear::gram(const Element* x, int64_t rows, int64_t width, float* out, cudaStream_t stream) {
  const Plan& plan = this->plan({rows, width, width, {true, false, true}});
  const float one = 1.0f, zero = 0.0f;
  CUDA_CHECK(cublasLtMatmul(handle_, plan.operation, &one, x, plan.weight, x, plan.x, &zero, out,
                            plan.y, out, plan.y, &plan.algorithm, workspace_, workspace_bytes_,
                            stream));
}

}  // namespace gnomon::cuda
