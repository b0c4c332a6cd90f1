# C structs for a .proto file, made by protoc-c while building:
#   tidewire_proto_library(TARGET DIRECTORY FILE)    FILE is relative to DIRECTORY, as an import names it
find_program(PROTOC_C protoc-c REQUIRED)
find_path(PROTOBUF_PROTOS google/protobuf/descriptor.proto REQUIRED)
set(TIDEWIRE_GENERATED "${CMAKE_BINARY_DIR}/generated")
function(tidewire_proto_library target directory file)
  string(REGEX REPLACE "\\.proto$" ".pb-c" stem "${file}")
  set(source "${TIDEWIRE_GENERATED}/${stem}.c")
  set(header "${TIDEWIRE_GENERATED}/${stem}.h")
  file(MAKE_DIRECTORY "${TIDEWIRE_GENERATED}")
  add_custom_command(OUTPUT "${source}" "${header}"
    COMMAND "${PROTOC_C}" "--c_out=${TIDEWIRE_GENERATED}" "-I${directory}" "${directory}/${file}"
    DEPENDS "${directory}/${file}" VERBATIM)
  add_library(${target} STATIC "${source}" "${header}")
  # Only what links the result needs to know; our own warnings are not for generated code.
  target_include_directories(${target} SYSTEM PUBLIC "${TIDEWIRE_GENERATED}")
  target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUFC)
endfunction()
