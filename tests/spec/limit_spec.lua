local gateway = require "support.gateway"
local client = require "support.client"

describe("a limit", function()
  after_each(gateway.stop_all)

  it("is one for all workers", function()
    local gw = gateway.start {
      scripts = { ["greet.lua"] = [[
        local tidewire = require "tidewire"
        local limit = tidewire.limit { name = "greets", rate = 0.001, burst = 5 }
        return { Greet = function(_, request)
          if not limit:take(request.name) then tidewire.fail "RESOURCE_EXHAUSTED" end
          return { greeting = "worker " .. tidewire.worker.id }
        end }
      ]] },
      config = 'workers = 2\nservice "greet.GreetService" { script = "greet.lua" }',
    }
    local connections, taken, workers = {}, 0, {}
    for i = 1, 6 do connections[i] = client.connect(gw.address) end
    for i = 1, 24 do
      local answer = connections[i % 6 + 1]:call("greet.GreetService/Greet", { name = "ann" }, client.soon)
      if answer.code == "OK" then
        taken, workers[answer.message.greeting] = taken + 1, true
      else
        assert.equal("RESOURCE_EXHAUSTED", answer.code)
      end
    end
    assert.equal(5, taken)
    assert.same({ ["worker 0"] = true, ["worker 1"] = true }, workers)
  end)
end)
