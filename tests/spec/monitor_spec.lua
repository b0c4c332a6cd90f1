local gateway = require "support.gateway"
local client = require "support.client"

local monitor = "logger.Logger/Monitor"
local WARN, ERROR = 3, 4

describe("the log monitor", function()
  local gw, stream
  before_each(function()
    gw = gateway.start { config = gateway.examples }
    stream = client.connect(gw.address):open(monitor)
  end)
  after_each(gateway.stop_all)

  it("sends nothing before the first filter, headers though", function()
    assert.is_table(stream:headers())
    assert.same({ nil, "timeout" }, { stream:receive(0.5) })
    stream:send {}
    assert.is_table(stream:receive())
  end)

  it("sends entries of the level that is asked for, or higher", function()
    stream:send { minimum_level = WARN }
    for _ = 1, 10 do
      local entry = stream:receive()
      assert.is_true(entry.level >= WARN)
      assert.is_not_nil(entry.timestamp)
    end
  end)

  it("follows a filter that changes while entries flow", function()
    stream:send { minimum_level = ERROR }
    local component = stream:receive().component
    stream:send { component = component }
    -- Entries that were on their way still meet the old filter; then come lower levels, of that component alone.
    assert.is_table(stream:receive_until(function(entry) return (entry.level or 0) < ERROR end))
    for _ = 1, 5 do assert.equal(component, stream:receive().component) end
  end)

  it("takes open streams along to a new version of the script, with their filters", function()
    stream:send { minimum_level = ERROR }
    assert.is_table(stream:receive())
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    for _ = 1, 2 do assert.is_true(stream:receive().level >= ERROR) end
  end)

  it("passes only entries that contain a text", function()
    stream:send {}
    local word = stream:receive().message:match "%a+"
    stream:send { contains = word }
    stream:receive_all(3)
    for _ = 1, 5 do assert.is_truthy(stream:receive().message:find(word, 1, true)) end
  end)

  it("ends with OK when the client has closed its side", function()
    stream:send {}
    assert.is_table(stream:receive())
    stream:half_close()
    assert.equal("end", stream:receive_all().reason)
    assert.equal("OK", stream:status().code)
  end)
end)
