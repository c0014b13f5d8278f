# tenon_add_plugin(<name> SOURCES ... [LIBRARIES ...] [DESCRIPTOR <file>]): the plugin library tenon_plugin_<name>.
#
# The library exports one symbol, resolves every symbol at link time, and carries its descriptor in an ELF section, where
# it is read without running code. Use it from the folder that holds plugin.textproto.
function(tenon_add_plugin name)
  cmake_parse_arguments(ARG "" "DESCRIPTOR" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT ARG_DESCRIPTOR)
    set(ARG_DESCRIPTOR plugin.textproto)
  endif()
  set(target tenon_plugin_${name})
  add_library(${target} MODULE ${ARG_SOURCES})
  tenon_embed_descriptor(${target} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DESCRIPTOR})
  target_link_libraries(${target} PRIVATE tenon::sdk ${ARG_LIBRARIES})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${TENON_PLUGIN_OUTPUT_DIRECTORY}
    LINK_DEPENDS ${map})
  target_compile_options(${target} PRIVATE
    -ffp-contract=off $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack)
endfunction()

# tenon_embed_descriptor(<target> <plugin.textproto>): checks the text against the schema and puts it, serialised, into the
# section .tenon.plugin of the target.
function(tenon_embed_descriptor target textproto)
  set(schema ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../abi)
  set(descriptor ${CMAKE_CURRENT_BINARY_DIR}/${target}.descriptor)
  add_custom_command(
    OUTPUT ${descriptor}
    COMMAND protobuf::protoc --proto_path=${schema} --encode=tenon.plugin.v1.Descriptor descriptor.proto
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
