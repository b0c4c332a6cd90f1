std = "luajit"
max_line_length = 120
exclude_files = { "build/**", "node_modules/**", "tests/interop/**/node_modules/**" }

-- Run inside a state that a unit test has filled.
files["tests/unit"] = { ignore = { "111", "113", "431", "432", "421", "422", "423", "631" } }
files["bench/*_bench.lua"].std = "+busted"
files["tests/spec"].std = "+busted"
files["bench/*_bench.lua"].std = "+busted"
files["tests/**/*_spec.lua"].std = "+busted"
