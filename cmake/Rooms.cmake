# A room is one folder of src/: a static library that may use only the rooms and libraries that it names here.
#   tidewire_room(NAME  ROOMS a b  LIBRARIES PkgConfig::X)
function(tidewire_room name)
  cmake_parse_arguments(ROOM "" "" "ROOMS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.c")
  list(TRANSFORM ROOM_ROOMS PREPEND room_)
  if(NOT sources) # nothing built here yet: only headers
    add_library(room_${name} INTERFACE)
    target_link_libraries(room_${name} INTERFACE tidewire_options ${ROOM_ROOMS} ${ROOM_LIBRARIES})
    return()
  endif()
  add_library(room_${name} STATIC ${sources})
  target_link_libraries(room_${name} PUBLIC tidewire_options ${ROOM_ROOMS} PRIVATE ${ROOM_LIBRARIES})
endfunction()

# Compiles files of proto/ into one descriptor set, which the target carries as the C array NAME.
function(tidewire_embed_descriptors target name)
  set(set "${CMAKE_BINARY_DIR}/generated/${name}.pb")
  set(source "${CMAKE_BINARY_DIR}/generated/${name}.c")
  list(TRANSFORM ARGN PREPEND "${CMAKE_SOURCE_DIR}/proto/" OUTPUT_VARIABLE files)
  add_custom_command(
    OUTPUT "${source}"
    COMMAND protoc "-I${CMAKE_SOURCE_DIR}/proto" --include_imports "--descriptor_set_out=${set}" ${ARGN}
    COMMAND ${CMAKE_COMMAND} "-DINPUT=${set}" "-DOUTPUT=${source}" -DNAME=${name} -P
            "${CMAKE_SOURCE_DIR}/cmake/Embed.cmake"
    DEPENDS ${files} "${CMAKE_SOURCE_DIR}/cmake/Embed.cmake")
  target_sources(${target} PRIVATE "${source}")
endfunction()
