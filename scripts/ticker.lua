-- Prices that change faster than some clients read. Each gets the newest price of every symbol that it watches, as soon
-- as it can take it, and none that another has made stale. The prices are made up here.
local tidewire = require "tidewire"

local symbols = { "ANT", "BEE", "CAT", "DOG" }
local ticks = tidewire.topic("ticks", { type = "prices.Price", history = #symbols })

local ticker = {}

local function is_one_of(list)
  local set = {}
  for _, symbol in ipairs(list) do set[symbol] = true end
  return function(_, price) return set[price.symbol] end
end

-- One symbol is compared without Lua, several need a function.
local function filter_of(wanted)
  if #wanted == 0 then return nil end
  if #wanted == 1 then return { symbol = wanted[1] } end
  return is_one_of(wanted)
end

function ticker.Watch(stream, request)
  ticks:subscribe(stream, {
    filter = filter_of(request.symbols),
    policy = "coalesce",
    key = "symbol",
    since = "all", -- the last price of each, at once
  })
  stream:wait()
end

local last = {}

-- Each symbol in its turn, so that the last ones kept are one of each.
local function tick(i)
  local symbol = symbols[i]
  last[symbol] = math.max(1, (last[symbol] or 100) + math.random() - 0.5)
  ticks:publish { symbol = symbol, price = last[symbol] }
end

-- The prices are made once in the process.
tidewire.timer.every(0.05, function()
  for i = 1, #symbols do tick(i) end
end, { worker = 0 })

return ticker
