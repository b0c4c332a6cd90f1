local gateway = require "support.gateway"
local client = require "support.client"

describe("the accumulator", function()
  after_each(gateway.stop_all)

  it("answers 1 to 10 with the sums 1, 3, 6 … 55 and then ends with OK", function()
    local gw = gateway.start { config = gateway.examples }
    local stream = client.connect(gw.address):open("tutorial.NumberService/AccumulateNumbers", client.soon)
    local sums = {}
    for i = 1, 10 do
      stream:send { num = i }
      sums[i] = stream:receive().sum
    end
    assert.same({ 1, 3, 6, 10, 15, 21, 28, 36, 45, 55 }, sums)
    stream:half_close()
    assert.same({ nil, "end" }, { stream:receive() })
    assert.equal("OK", stream:status().code)
  end)

  it("answers numbers that came all at once, in order", function()
    local gw = gateway.start { config = gateway.examples }
    local numbers, sums, sum = {}, {}, 0
    for i = 1, 1000 do
      numbers[i] = { num = i % 7 - 3 }
      sum = sum + i % 7 - 3
      sums[i] = sum == 0 and {} or { sum = sum }
    end
    local replies, status = client.connect(gw.address):exchange("tutorial.NumberService/AccumulateNumbers", numbers)
    assert.same(sums, replies)
    assert.equal("OK", status.code)
  end)

  it("keeps a sum for each stream of a connection", function()
    local gw = gateway.start { config = gateway.examples }
    local streams = client.connect(gw.address):open_many(50, "tutorial.NumberService/AccumulateNumbers")
    for round = 1, 3 do
      for i, stream in ipairs(streams) do stream:send { num = i } end
      for i, stream in ipairs(streams) do assert.equal(i * round, stream:receive().sum) end
    end
    for _, stream in ipairs(streams) do stream:half_close() end
    for _, stream in ipairs(streams) do assert.equal("OK", stream:status().code) end
  end)
end)
