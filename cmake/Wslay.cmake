# Debian's wslay has no file for pkg-config.
find_path(WSLAY_INCLUDE wslay/wslay.h REQUIRED)
find_library(WSLAY_LIBRARY wslay REQUIRED)
add_library(Wslay INTERFACE IMPORTED)
target_include_directories(Wslay INTERFACE ${WSLAY_INCLUDE})
target_link_libraries(Wslay INTERFACE ${WSLAY_LIBRARY})
