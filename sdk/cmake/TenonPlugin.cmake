# tenon_add_plugin(<name> SOURCES ...): one plugin library from a folder that holds plugin.textproto.
#
# The library exports one symbol, resolves every symbol at link time, and carries its descriptor (serialised
# plugin.textproto) in the ELF section .tenon.plugin, where it is read without running code. Use it from the plugin's folder.
set(TENON_SDK_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

function(tenon_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  set(descriptor ${CMAKE_CURRENT_BINARY_DIR}/${name}.descriptor)
  set(proto_dir ${TENON_SDK_CMAKE_DIR}/../abi)
  add_custom_command(
    OUTPUT ${descriptor}
    COMMAND protobuf::protoc --proto_path=${proto_dir} --encode=tenon.plugin.v1.Descriptor descriptor.proto
            < ${CMAKE_CURRENT_SOURCE_DIR}/plugin.textproto > ${descriptor}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin.textproto ${proto_dir}/descriptor.proto
    VERBATIM)
  set(section ${CMAKE_CURRENT_BINARY_DIR}/${name}.descriptor.c)
  file(CONFIGURE OUTPUT ${section} @ONLY CONTENT
       "__asm__(\".section .tenon.plugin,\\\"a\\\",@progbits\\n.incbin \\\"@descriptor@\\\"\\n.previous\");\n")
  set_source_files_properties(${section} PROPERTIES OBJECT_DEPENDS ${descriptor})

  set(target tenon_plugin_${name})
  add_library(${target} MODULE ${ARG_SOURCES} ${section})
  target_link_libraries(${target} PRIVATE tenon::sdk ${ARG_LIBRARIES})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${TENON_PLUGIN_OUTPUT_DIRECTORY}
    LINK_DEPENDS ${TENON_SDK_CMAKE_DIR}/plugin.map)
  target_compile_options(${target} PRIVATE
    -ffp-contract=off $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${TENON_SDK_CMAKE_DIR}/plugin.map -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack)
endfunction()
