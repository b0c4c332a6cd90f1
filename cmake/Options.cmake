# What every target is built with: the language, the warnings, the sanitizers, and where libraries are found.
include(CMakeDependentOption)
option(TIDEWIRE_TESTS "build the unit tests" ON)
option(TIDEWIRE_FUZZ "build the fuzz drivers with libFuzzer (needs clang)" OFF)
set(TIDEWIRE_SANITIZE "" CACHE STRING "sanitizers, as in -fsanitize=LIST")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # gnu11: POSIX and Linux calls are used throughout
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Asserts state what must hold; they stay in every build.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
# A message crosses most rooms: let the optimizer see through their walls.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION_RELWITHDEBINFO ON)

add_library(tidewire_options INTERFACE)
target_compile_definitions(tidewire_options INTERFACE _GNU_SOURCE TIDEWIRE_VERSION="${PROJECT_VERSION}")
target_include_directories(tidewire_options INTERFACE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_BINARY_DIR}/generated")
target_compile_options(tidewire_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
  -Wformat=2 -Wvla -Wundef -Wno-missing-field-initializers -fvisibility=hidden -fno-omit-frame-pointer)
if(TIDEWIRE_SANITIZE)
  target_compile_options(tidewire_options INTERFACE -fsanitize=${TIDEWIRE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(tidewire_options INTERFACE -fsanitize=${TIDEWIRE_SANITIZE})
  # Pools hand out plain malloc'd memory, so that a sanitizer sees every object by itself.
  target_compile_definitions(tidewire_options INTERFACE TIDEWIRE_SANITIZED=1)
endif()

if(TIDEWIRE_FUZZ)
  target_compile_options(tidewire_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
function(tidewire_library name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endfunction()
tidewire_library(LUAJIT luajit)
tidewire_library(EVENT libevent_core)
tidewire_library(NGHTTP2 libnghttp2)
tidewire_library(OPENSSL openssl)
tidewire_library(CARES libcares)
tidewire_library(PROTOBUFC libprotobuf-c)
tidewire_library(CONFUSE libconfuse)
tidewire_library(ZLIB zlib)
tidewire_library(NATS libnats)
