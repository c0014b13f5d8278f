# How this tree makes its targets. Properties sit on targets; nothing here is installed.

# The sanitizers of this build. A library that is opened at run time finds their runtime in the program.
function(tenon_sanitize target)
  if(TENON_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  elseif(TENON_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread)
    target_link_options(${target} PRIVATE -fsanitize=thread)
  elseif(TENON_SANITIZE)
    message(FATAL_ERROR "TENON_SANITIZE is '${TENON_SANITIZE}'; known: address, thread")
  endif()
endfunction()

# Every C++ target of the tree: warnings, the numbers contract's floating-point rule (no contraction), the ISA floor.
function(tenon_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wno-missing-field-initializers
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-stringop-overflow>"  # false alarms on std::string in gcc 12 (its bug 105329)
    -ffp-contract=off -march=x86-64-v3 -fvisibility=hidden)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  tenon_sanitize(${target})
  if(TENON_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# tenon_core_library(<folder> SOURCES ... [DEPS <core folders>] [PRIVATE <third-party targets>])
function(tenon_core_library folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE" ${ARGN})
  set(target tenon_core_${folder})
  add_library(${target} STATIC ${ARG_SOURCES})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  tenon_compile_options(${target})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(${target} PUBLIC tenon_core_${dep})
  endforeach()
  target_link_libraries(${target} PUBLIC tenon::abi PRIVATE ${ARG_PRIVATE})
endfunction()

# tenon_protobuf_library(<target> PROTO <path from the root> [STANDARD <c++ standard>]): the code of one schema, included by
# that path with .pb.h. Only .cc files may include it. STANDARD is for a schema with a field whose name the generator does
# not know to be a keyword of a later standard.
function(tenon_protobuf_library target)
  cmake_parse_arguments(ARG "" "PROTO;STANDARD" "" ${ARGN})
  set(out ${PROJECT_BINARY_DIR}/generated)
  string(REGEX REPLACE "[.]proto$" ".pb" stem ${ARG_PROTO})
  file(MAKE_DIRECTORY ${out})
  add_custom_command(
    OUTPUT ${out}/${stem}.cc ${out}/${stem}.h
    COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR} --cpp_out=${out} ${ARG_PROTO}
    DEPENDS ${PROJECT_SOURCE_DIR}/${ARG_PROTO}
    VERBATIM)
  add_library(${target} STATIC ${out}/${stem}.cc ${out}/${stem}.h)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  tenon_compile_options(${target})
  target_compile_options(${target} PRIVATE -w)
  if(ARG_STANDARD)
    set_source_files_properties(${out}/${stem}.cc PROPERTIES COMPILE_OPTIONS -std=c++${ARG_STANDARD})
  endif()
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
endfunction()

# tenon_unit_test(<folder> SOURCES ... [DEPS <targets>]): one GoogleTest program for tests/unit/<folder>.
function(tenon_unit_test folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  set(target test_${folder})
  add_executable(${target} ${ARG_SOURCES})
  tenon_compile_options(${target})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gtest_main)
  target_precompile_headers(${target} PRIVATE <gtest/gtest.h>)
  target_compile_definitions(${target} PRIVATE TENON_SOURCE_DIR="${PROJECT_SOURCE_DIR}" TENON_BINARY_DIR="${PROJECT_BINARY_DIR}")
  gtest_discover_tests(${target} TEST_PREFIX ${folder}. DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS unit ENVIRONMENT TENON_STATE_DIR=${PROJECT_BINARY_DIR}/state)
endfunction()

# All targets of a type (EXECUTABLE, MODULE_LIBRARY) of a folder and below, for a target that builds them together.
function(tenon_collect_targets folder type out)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  set(found)
  foreach(target IN LISTS targets)
    get_target_property(is ${target} TYPE)
    if(is STREQUAL type)
      list(APPEND found ${target})
    endif()
  endforeach()
  get_property(children DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(child IN LISTS children)
    tenon_collect_targets(${child} ${type} below)
    list(APPEND found ${below})
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()
