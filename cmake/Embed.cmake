# Run by `cmake -P`: writes INPUT, a file of any bytes, as the C array NAME into OUTPUT.
file(READ "${INPUT}" hex HEX)
string(LENGTH "${hex}" length)
math(EXPR length "${length} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE "${OUTPUT}" "#include <stddef.h>\nextern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_length;\n"
                       "const unsigned char ${NAME}[] = {${bytes}};\nconst size_t ${NAME}_length = ${length};\n")
