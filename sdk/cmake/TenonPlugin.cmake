# tenon_add_plugin(<name> SOURCES ... [LIBRARIES ...] [DESCRIPTOR <file>]): the plugin library tenon_plugin_<name>.
#
# The library exports one symbol, resolves every symbol at link time, and carries its descriptor in an ELF section, where
# it is read without running code. Use it from the folder that holds plugin.textproto. Sources are C11 or C++20; the project
# has the language C in any case, for the descriptor.
function(tenon_add_plugin name)
  cmake_parse_arguments(ARG "" "DESCRIPTOR" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT ARG_DESCRIPTOR)
    set(ARG_DESCRIPTOR plugin.textproto)
  endif()
  set(folder ${TENON_PLUGIN_OUTPUT_DIRECTORY})
  if(NOT folder)
    set(folder ${PROJECT_BINARY_DIR})
  endif()
  set(target tenon_plugin_${name})
  add_library(${target} MODULE ${ARG_SOURCES})
  tenon_embed_descriptor(${target} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DESCRIPTOR})
  tenon_use_sdk(${target})
  target_link_libraries(${target} PRIVATE ${ARG_LIBRARIES})
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${folder}
    LINK_DEPENDS ${map})
  target_compile_options(${target} PRIVATE
    -ffp-contract=off $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack)
endfunction()

# tenon_add_plugin_test(<name> SOURCES ... [ARGUMENTS ...]): the test program test_<name>, in C or C++, which is given the
# plugin's path as its first argument. tenon/sdk/testing.hpp helps such a program in C++.
function(tenon_add_plugin_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ARGUMENTS" ${ARGN})
  add_executable(test_${name} ${ARG_SOURCES})
  tenon_use_sdk(test_${name})
  target_link_libraries(test_${name} PRIVATE ${CMAKE_DL_LIBS})
  add_dependencies(test_${name} tenon_plugin_${name})
  add_test(NAME ${name} COMMAND test_${name} $<TARGET_FILE:tenon_plugin_${name}> ${ARG_ARGUMENTS})
endfunction()

# The SDK's headers and the oldest standards that they are written for.
function(tenon_use_sdk target)
  target_link_libraries(${target} PRIVATE tenon::sdk)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(CXX IN_LIST languages)
    target_compile_features(${target} PRIVATE cxx_std_20)
  endif()
  target_compile_features(${target} PRIVATE c_std_11)
endfunction()

# tenon_embed_descriptor(<target> <plugin.textproto>): checks the text against the schema and puts it, serialised, into the
# section .tenon.plugin of the target.
function(tenon_embed_descriptor target textproto)
  set(schema ${CMAKE_CURRENT_FUNCTION_LIST_DIR})  # where the SDK is installed
  if(NOT EXISTS ${schema}/descriptor.proto)
    set(schema ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../abi)  # in its source tree
  endif()
  set(descriptor ${CMAKE_CURRENT_BINARY_DIR}/${target}.descriptor)
  add_custom_command(
    OUTPUT ${descriptor}
    COMMAND tenon::protoc --proto_path=${schema} --encode=tenon.plugin.v1.Descriptor descriptor.proto
            < ${textproto} > ${descriptor}
    DEPENDS ${textproto} ${schema}/descriptor.proto
    COMMENT "Encoding ${textproto}"
    VERBATIM)
  # C, not assembler: no further language to enable.
  set(section ${descriptor}.c)
  file(CONFIGURE OUTPUT ${section} @ONLY CONTENT [[
__asm__(".pushsection .tenon.plugin,\"a\",@progbits\n.incbin \"@descriptor@\"\n.popsection");
]])
  set_source_files_properties(${section} PROPERTIES OBJECT_DEPENDS ${descriptor})
  target_sources(${target} PRIVATE ${section})
endfunction()
