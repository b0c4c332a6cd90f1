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
