-- The pages that show a terminal, from their first command to their last: what they show is what happens.
local gateway = require "support.gateway"
local page = require "support.page"
local terminal = require "support.terminal"

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- A whole script, for the named service.
local function check_script(block)
  local folder = gateway.prepare { scripts = { ["shown.lua"] = block.text },
    config = ('service "%s" { script = "shown.lua" }\n'):format(block.mark.words[1]) }
  local code, output = gateway.run { "check", "-c", folder:path "tidewire.conf" }
  assert(code == 0, output)
end

local try = {
  file = function(shown, block) shown:write_file(block.mark.words[1], block.text) end,
  terminal = function(shown, block) shown:play(block) end,
  script = function(_, block) check_script(block) end,
  excerpt = function(_, block)
    assert(read_file(block.mark.words[1]):find(block.text, 1, true), block.mark.words[1] .. " has no such lines")
  end,
}

for _, path in ipairs { "README.md", "docs/tutorial.md", "docs/reference/cli.md" } do
  describe(path, function()
    local shown

    setup(function() shown = terminal.open() end)
    teardown(function() shown:close() end)
    after_each(gateway.stop_all)

    -- A step builds on the one before.
    local has_failed = false
    for _, block in ipairs(page.read(path)) do
      if block.mark then
        it("works at line " .. block.line .. " (" .. block.heading .. ")", function()
          assert(not has_failed, "a step before has failed")
          has_failed = true
          assert(try[block.mark.kind], "what is \"" .. block.mark.kind .. "\"?")(shown, block)
          has_failed = false
        end)
      end
    end
  end)
end
