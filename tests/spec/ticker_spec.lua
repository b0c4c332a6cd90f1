local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local watch = "prices.Prices/Watch"

describe("the ticker", function()
  local gw
  before_each(function()
    gw = gateway.start { config = ('workers = 2\nscript_path = "%s/scripts"\nproto = { "prices.proto" }\n'
      .. 'service "prices.Prices" { script = "ticker.lua" }\n'):format(gateway.root) }
  end)
  after_each(gateway.stop_all)

  local function open(symbols)
    local stream = client.connect(gw.address):open(watch)
    stream:send { symbols = symbols }
    stream:half_close()
    return stream
  end

  it("sends each change of the symbols that are asked for, in either worker", function()
    for _, case in ipairs { { "BEE" }, { "ANT", "DOG" }, {} } do
      local wanted, seen = {}, {}
      for _, symbol in ipairs(case) do wanted[symbol] = true end
      for _ = 1, 2 do
        local stream = open(case)
        for _ = 1, 12 do
          local price = stream:receive()
          assert.is_true(next(wanted) == nil or wanted[price.symbol] or false)
          assert.is_true(price.price >= 1)
          seen[price.symbol] = true
        end
        stream:cancel()
      end
      for symbol in pairs(wanted) do assert.is_true(seen[symbol]) end
    end
  end)

  it("begins with the last price of each symbol", function()
    local early = open {}
    for _ = 1, 8 do early:receive() end
    local stream, seen = open {}, {}
    for _ = 1, 4 do seen[stream:receive().symbol] = true end
    assert.same({ ANT = true, BEE = true, CAT = true, DOG = true }, seen)
    early:cancel()
    stream:cancel()
  end)

  it("does not close a client that takes nothing", function()
    local wire = assert(raw.connect(gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, watch)
    wire:data(1, raw.message "", true)
    assert(wire:expect { type = "HEADERS", stream = 1 })
    local other = open {}
    for _ = 1, 100 do other:receive() end
    wire:send { { send = "window", stream = 1, by = 100000 } }
    assert(wire:expect { type = "DATA", stream = 1 })
    wire:reset(1)
    other:cancel()
  end)
end)
