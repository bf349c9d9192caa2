# How imapult's layers are built. One call per layer: imapult_layer(NAME FOLDER DEPENDS…).
#
# Every layer exports an include path of its own that holds nothing but its folder, so that
# `#include "engine/net/stream.h"` compiles only in a target that links imapult_net: the arrows of
# the architecture are checked by the compiler.

option(IMAPULT_BENCH "Build the benchmarks (Google Benchmark)" OFF)
option(IMAPULT_FUZZ "Build the fuzz targets with libFuzzer" OFF)
set(IMAPULT_SANITIZE "" CACHE STRING "Sanitizers for the whole build, for example address,undefined")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(LLD ld.lld-19)
if(LLD)
  add_link_options(-fuse-ld=lld-19)
endif()
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
# Header-only and small libraries that several layers use: found once, for all folders.
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)

# Compiler options shared by all presets; the presets add -Werror and their sanitizers.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -fno-omit-frame-pointer)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=3 -fstack-clash-protection
                      -fcf-protection)
  add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
if(IMAPULT_SANITIZE)
  add_compile_options(-fsanitize=${IMAPULT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${IMAPULT_SANITIZE})
endif()
if(IMAPULT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# imapult_built_quickly(TARGET…): under a sanitizer these are not optimised, which takes a third of the
# compiler's time. Not for what the tests spend their own time in (engine, imap, dedup, tools/imapd).
function(imapult_built_quickly)
  if(IMAPULT_SANITIZE AND NOT IMAPULT_FUZZ)
    foreach(target ${ARGN})
      target_compile_options(${target} PRIVATE -O0)
    endforeach()
  endif()
endfunction()

# imapult_layer(base engine/base) makes the target imapult_base from every .cc of the folder.
function(imapult_layer name folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc)
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  get_filename_component(parent ${root}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  if(NOT EXISTS ${root}/${folder})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${root}/${folder} SYMBOLIC)
  endif()
  if(sources)
    add_library(imapult_${name} STATIC ${sources})
    target_include_directories(imapult_${name} PUBLIC ${root})
    target_link_libraries(imapult_${name} PUBLIC ${ARGN} Threads::Threads)
  else()
    add_library(imapult_${name} INTERFACE)
    target_include_directories(imapult_${name} INTERFACE ${root})
    target_link_libraries(imapult_${name} INTERFACE ${ARGN} Threads::Threads)
  endif()
endfunction()

# imapult_test(NAME LABEL SOURCES… LIBS …): one GoogleTest program = one ctest entry.
function(imapult_test name label)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  imapult_built_quickly(${name})
  add_test(NAME ${name} COMMAND ${name})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${T_TIMEOUT})
endfunction()

# imapult_fuzz(NAME SOURCE LIBS…): a libFuzzer program where IMAPULT_FUZZ is on; everywhere else the
# same target replays its corpus tests/fuzz/corpus/NAME as a regression test, then random mutations
# of it for IMAPULT_FUZZ_SMOKE_SECONDS.
set(IMAPULT_FUZZ_SMOKE_SECONDS 3 CACHE STRING "How long each fuzz-smoke test mutates its corpus")
function(imapult_fuzz name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ${ARGN} imapult_base)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  if(IMAPULT_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cc)
    add_test(NAME ${name}_replay
             COMMAND ${name} --seconds ${IMAPULT_FUZZ_SMOKE_SECONDS} ${corpus})
    set_tests_properties(${name}_replay PROPERTIES LABELS fuzz-smoke TIMEOUT 120)
  endif()
endfunction()
