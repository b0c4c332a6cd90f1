# http-parser has no file for pkg-config.
find_path(HTTP_PARSER_INCLUDE http_parser.h REQUIRED)
find_library(HTTP_PARSER_LIBRARY http_parser REQUIRED)
add_library(HttpParser INTERFACE IMPORTED)
target_include_directories(HttpParser INTERFACE ${HTTP_PARSER_INCLUDE})
target_link_libraries(HttpParser INTERFACE ${HTTP_PARSER_LIBRARY})
