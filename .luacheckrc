std = "luajit"
max_line_length = 120
exclude_files = { "build/**", "node_modules/**", "tests/interop/**/node_modules/**" }

files["tests/spec"].std = "+busted"
files["tests/**/*_spec.lua"].std = "+busted"
