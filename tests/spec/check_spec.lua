local gateway = require "support.gateway"

local good = "return { Greet = function(_, request) return { greeting = request.name } end }"

local function check(options)
  local folder = gateway.prepare(options)
  return gateway.run({ "check", "-c", folder:path "tidewire.conf" }, options)
end

local config = 'service "greet.GreetService" { script = "greet.lua" }\n'

describe("tidewire check", function()
  after_each(gateway.stop_all)

  it("is content with a config and scripts that are fine, and -t is the same", function()
    local folder = gateway.prepare { config = config, scripts = { ["greet.lua"] = good } }
    assert.equal(0, (gateway.run { "check", "-c", folder:path "tidewire.conf" }))
    assert.equal(0, (gateway.run { "-t", "-c", folder:path "tidewire.conf" }))
  end)

  it("is content with the shipped config and examples", function()
    local code, output = gateway.run { "check", "-c", "etc/tidewire.conf" }
    assert(code == 0, output)
  end)

  it("opens no port and starts no timer", function()
    local folder = gateway.prepare { config = 'listen "127.0.0.1:1" { }\n' .. config, scripts = { ["greet.lua"] = [[
      local tidewire = require "tidewire"
      tidewire.timer.every(0.001, function() print "tick" end)
      return {}
    ]] } }
    local code, output = gateway.run { "check", "-c", folder:path "tidewire.conf" }
    assert.equal(0, code) -- port 1 could not be opened by everybody
    assert.is_nil(output:find "tick")
  end)

  it("says file, line and the nearest name of a fault, and exits with 1", function()
    local code, output = check { config = "\n\nworkrs = 2\n" .. config, scripts = { ["greet.lua"] = good } }
    assert.equal(1, code)
    assert.is_truthy(output:find "tidewire%.conf:3: error: .*workrs.*did you mean \"workers\"%?")
    code, output = check { config = config, scripts = { ["greet.lua"] = "\nreturn { Gret = function() end }" } }
    assert.equal(1, code)
    assert.is_truthy(output:find "greet%.lua.*error: .*Gret.*did you mean \"Greet\"%?")
  end)

  it("reads environment variables, with a default", function()
    local options = { config = 'drain_timeout = ${TIDEWIRE_SPEC:-5s}\n' .. config, scripts = { ["greet.lua"] = good } }
    assert.equal(0, (check(options)))
    options.environment = { TIDEWIRE_SPEC = "nonsense" }
    local code, output = check(options)
    assert.equal(1, code)
    assert.is_truthy(output:find "tidewire%.conf:1: error: ")
  end)

  it("follows includes, whose paths and lines are their own", function()
    local folder = gateway.prepare { config = 'include("more/services.conf")\n',
      files = { ["more/services.conf"] = '\nservice "greet.GreetService" { script = "greet.lua"  mesage = 5 }\n' },
      scripts = { ["greet.lua"] = good } }
    local code, output = gateway.run { "check", "-c", folder:path "tidewire.conf" }
    assert.equal(1, code)
    assert.is_truthy(output:find "services%.conf:2: error: .*mesage")
  end)

  it("refuses wrong usage with 2, and help fits a screen", function()
    for _, arguments in ipairs { { "check", "--nonsense" }, { "nonsense" }, { "check", "-c" }, { "run", "a", "b" } } do
      assert.equal(2, (gateway.run(arguments)), table.concat(arguments, " "))
    end
    for _, verb in ipairs { "run", "check", "config" } do
      local code, output = gateway.run { verb, "-h" }
      assert.equal(0, code)
      local _, lines = output:gsub("\n", "")
      assert.is_true(lines > 1 and lines <= 24, verb .. " has " .. lines)
    end
  end)

  it("has the reference page that the program itself writes", function()
    local code, output = gateway.run { "config", "reference" }
    assert.equal(0, code)
    local file = assert(io.open "docs/reference/config.md")
    assert.equal(file:read "*a", output)
    file:close()
  end)

  it("shows a config with every key at its default, which is itself fine", function()
    local code, output = gateway.run { "config", "default" }
    assert.equal(0, code)
    local folder = gateway.prepare { scripts = { ["greet.lua"] = good } }
    folder:write("default.conf", output)
    local again
    code, again = gateway.run { "check", "-c", folder:path "default.conf" }
    assert(code == 0, again)
  end)
end)
