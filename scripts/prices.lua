-- One subscription to the exchange, however many clients watch. What it says goes to all workers by a topic; each keeps
-- the last prices for those who come later.
local tidewire = require "tidewire"

local changes = tidewire.topic("prices", { type = "prices.Price" })
local last = {}

changes:subscribe(function(price) last[price.symbol] = price end)

local function follow(exchange)
  for price in exchange:messages() do changes:publish(price) end
  tidewire.log.error("the exchange has ended: " .. exchange:status())
end

-- Once in the process, until a reload: then the next generation's takes over.
tidewire.spawn(function()
  local function ask(exchange) exchange:send {} end
  local exchange = tidewire.open("exchange", "prices.Prices/Watch", { wait = true, reconnect = ask })
  ask(exchange)
  follow(exchange)
end, { worker = 0 })

local function set_of(symbols)
  local set
  for _, symbol in ipairs(symbols) do
    set = set or {}
    set[symbol] = true
  end
  return set
end

-- A list of its own: while a send waits, new ones may come.
local function known_symbols()
  local symbols = {}
  for symbol in pairs(last) do symbols[#symbols + 1] = symbol end
  return symbols
end

local prices = {}

prices.Watch = {
  on_message = function(stream, request)
    local wanted = set_of(request.symbols)
    local function is_wanted(_, price) return not wanted or wanted[price.symbol] end
    changes:subscribe(stream, { filter = wanted and is_wanted, policy = "drop_old" })
    -- What was published before is for `last` alone, which hears of it a moment later: it is looked at behind that.
    stream:spawn(function()
      for _, symbol in ipairs(known_symbols()) do
        if is_wanted(stream, last[symbol]) then stream:send(last[symbol]) end
      end
    end)
  end,
}

return prices
