# The CUDA backend: libgnomon_cuda.so, which computes in bf16, and libgnomon_cuda_fp32.so. The
# toolkit is a system install, or the wheels of requirements.txt: GNOMON_CUDA_WHEELS names the
# site-packages folder they are in.
set(GNOMON_CUDA_WHEELS "" CACHE PATH "site-packages with the NVIDIA wheels; empty: a system toolkit")
set(GNOMON_CUDA_TARGETS 80 89 90a CACHE STRING "GPU architectures to compile for")
set(GNOMON_CUDNN_FRONTEND "" CACHE PATH "Folder of cudnn_frontend.h; empty: the wheels', or the system's")

if(GNOMON_CUDA_WHEELS)
  set(CUDA_HOME ${GNOMON_CUDA_WHEELS}/nvidia/cu13)
  set(CUDNN_HOME ${GNOMON_CUDA_WHEELS}/nvidia/cudnn)
  set(CUDNN_FRONTEND ${GNOMON_CUDA_WHEELS}/include)
  if(EXISTS ${CUDA_HOME}/bin/nvcc)
    set(CMAKE_CUDA_COMPILER ${CUDA_HOME}/bin/nvcc CACHE FILEPATH "")
  endif()
endif()
if(GNOMON_CUDNN_FRONTEND)
  set(CUDNN_FRONTEND ${GNOMON_CUDNN_FRONTEND})
endif()
set(CMAKE_CUDA_FLAGS_INIT "-L${CUDA_HOME}/lib")  # CMake links a program to try the compiler
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)

find_library(CUBLAS NAMES cublas libcublas.so.13 HINTS ${CUDA_HOME}/lib REQUIRED)
find_library(CUBLASLT NAMES cublasLt libcublasLt.so.13 HINTS ${CUDA_HOME}/lib REQUIRED)
find_library(NVRTC NAMES nvrtc libnvrtc.so.13 HINTS ${CUDA_HOME}/lib REQUIRED)
find_library(CUDNN NAMES cudnn libcudnn.so.9 HINTS ${CUDNN_HOME}/lib REQUIRED)

file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS cuda/*.cu cuda/*.cpp)
list(FILTER CUDA_SOURCES EXCLUDE REGEX "(open_library|library|_bf16|_fp32)\\.(cpp|cu)$")
file(GLOB CUDA_TEST_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/cuda/*.cpp)
list(TRANSFORM GNOMON_CUDA_TARGETS REPLACE "(.+)" "-gencode=arch=compute_\\1,code=sm_\\1"
     OUTPUT_VARIABLE GENCODE)

# The backend for one kind of element (cuda/element.h), and its tests. ELEMENT: bf16 or fp32.
function(add_cuda_backend ELEMENT KERNELS LIBRARY TESTS)
  file(GLOB OWN_SOURCES CONFIGURE_DEPENDS cuda/*_${ELEMENT}.cu cuda/*_${ELEMENT}.cpp)
  add_library(${KERNELS} STATIC ${CUDA_SOURCES} ${OWN_SOURCES})
  string(TOUPPER ${ELEMENT} NAME)
  target_compile_definitions(${KERNELS} PUBLIC GNOMON_CUDA_${NAME})
  target_include_directories(${KERNELS} SYSTEM PUBLIC
    ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}/cccl
    ${CUDA_HOME}/include ${CUDNN_HOME}/include ${CUDNN_FRONTEND})
  # CMake 3.25 does not know nvcc 13's C++20 flag.
  target_compile_options(${KERNELS} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -O3 -lineinfo --expt-relaxed-constexpr ${GENCODE}
      -Xcompiler=-fPIC,-fvisibility=hidden -Werror=all-warnings>)
  set_target_properties(${KERNELS} PROPERTIES CUDA_STANDARD_REQUIRED OFF CUDA_RUNTIME_LIBRARY Static)
  target_link_libraries(${KERNELS} PUBLIC engine ${CUBLAS} ${CUBLASLT} ${CUDNN})

  add_library(${LIBRARY} SHARED cuda/library.cpp)
  # cuDNN opens NVRTC by name when it compiles attention; linked, it is missed when the backend is
  # opened and not by the first prompt.
  target_link_libraries(${LIBRARY} PRIVATE ${KERNELS}
    -Wl,--push-state,--no-as-needed ${NVRTC} -Wl,--pop-state)
  add_executable(${TESTS} ${CUDA_TEST_SOURCES} ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/main.cpp)
  target_include_directories(${TESTS} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/..)
  target_compile_definitions(${TESTS} PRIVATE
    GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/../test/native/goldens")
  target_link_libraries(${TESTS} PRIVATE ${KERNELS} doctest::doctest nlohmann_json::nlohmann_json)
  set_target_properties(${LIBRARY} ${TESTS} PROPERTIES CUDA_RUNTIME_LIBRARY Static
    LINKER_LANGUAGE CUDA BUILD_RPATH "${CUDA_HOME}/lib;${CUDNN_HOME}/lib")
endfunction()

add_cuda_backend(bf16 cuda_kernels gnomon_cuda cuda_tests)
add_cuda_backend(fp32 cuda_kernels_fp32 gnomon_cuda_fp32 cuda_fp32_tests)

find_library(CUPTI NAMES cupti libcupti.so.13 HINTS ${CUDA_HOME}/lib ${CUDA_HOME}/extras/CUPTI/lib64)
if(CUPTI)
  add_library(kernel_trace SHARED ${CMAKE_CURRENT_SOURCE_DIR}/bench/kernel_trace.cpp)
  target_include_directories(kernel_trace SYSTEM PRIVATE ${CUDA_HOME}/include ${CUDA_HOME}/extras/CUPTI/include)
  target_link_libraries(kernel_trace PRIVATE ${CUPTI})
endif()
