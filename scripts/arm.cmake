# Read by llama.cpp's CMake before each of its projects.
set(LLAMA_OPENSSL OFF CACHE BOOL "" FORCE) # CMake finds the x86-64 one
# GCC fuses ggml-base's multiplications and additions on ARM; then ggml's encoders write other bytes than on x86-64, and
# they are what the converter's are held against. ggml's kernels are compiled without this.
if(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
  cmake_language(DEFER CALL target_compile_options ggml-base PRIVATE -ffp-contract=off)
endif()
