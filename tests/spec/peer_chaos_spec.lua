-- Two gateways whose connection is cut, held and delayed, and which reload, while streams come and go: every stream has
-- an end, and when it is quiet everything has gone.
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"

local SECONDS = tonumber(os.getenv "TIDEWIRE_CHAOS_SECONDS" or 8)
local TALKS = 12
local ENOUGH = 50 -- answers, so that something was tried

describe("peers in trouble", function()
  after_each(gateway.stop_all)

  it("answer every stream, or end it, and come to rest", function()
    local seed = tonumber(os.getenv "TIDEWIRE_CHAOS_SEED" or 20251121)
    math.randomseed(seed)
    local a, b = nodes.pair { workers = 2,
      peer = "linger = 20ms  backoff = 10ms  backoff_most = 100ms  connect_timeout = 1s  wait = 2s",
      more = "log { level = info  access = off }" }
    local told, answered, asked = {}, 0, 0

    local orders = { "open 3", "call x 3", "many 5", "all", "close", "say y", "peers" }
    local talks = {}
    local function replace(i)
      local old = talks[i]
      if old then
        if math.random(2) == 1 then old.stream:cancel() else old.stream:half_close() end
        old.channel:disconnect()
      end
      talks[i] = (math.random(2) == 1 and a or b):talk()
      talks[i].is_open = false
    end
    local function order(one)
      local word = orders[math.random(#orders)]
      if not one.is_open then word = "open 3" end
      one.is_open = one.is_open or word == "open 3"
      if word == "close" then one.is_open = false end
      one.asked = word
      one:tell(word)
      asked = asked + 1
    end

    local ways = { a.way, b.way }
    local trouble = {
      function(way) way:cut() end,
      function(way) way:set { forth = math.random() * 0.02, back = math.random() * 0.02 } end,
      function(way) way:set { forth = 0, back = 0 } end,
      function(way) way:hold() end,
      function(way) way:release() end,
      function(way) way:release() end,
      function(way) way:release() end,
      function() if math.random(5) == 1 then assert.is_truthy((math.random(2) == 1 and a or b):reload()) end end,
    }
    for i = 1, TALKS do replace(i) end
    local began = process.now()
    local function is_enough() -- on a slow machine the same trouble brings fewer answers a second
      local past = process.now() - began
      if answered > ENOUGH and told.fine then return past > SECONDS end
      return past > SECONDS + 60 * gateway.slowness
    end
    while not is_enough() do
      for i, one in ipairs(talks) do
        if not one.asked then
          order(one)
        else
          local answer, why = one:hear(0.002)
          if answer then
            answered = answered + 1
            one.asked = nil
            told[answer:match "^[%u_]+ " or "fine"] = true
          elseif why ~= "no answer" then
            error("seed " .. seed .. ": " .. one.asked .. ": " .. why)
          end
          if math.random(30) == 1 then replace(i) end
        end
      end
      if math.random(8) == 1 then trouble[math.random(#trouble)](ways[math.random(2)]) end
    end

    for _, way in ipairs(ways) do
      way:release()
      way:set { forth = 0, back = 0 }
    end
    for i, one in ipairs(talks) do
      if one.asked then
        assert.is_truthy(one:hear(), ("seed %d: %d: %s is not answered"):format(seed, i, one.asked))
      end
      one.stream:cancel()
      one.channel:disconnect()
    end
    local function works(one)
      local wanted = one.other .. " to " .. one.name .. ": x"
      return process.await(gateway.patience, function() return one:ask "call x 3" == wanted end)
    end
    assert(works(a) and works(b), "seed " .. seed .. ": it does not recover")
    assert(nodes.await_connections(a, b, 0), "seed " .. seed .. ": a connection stays")
    for _, one in ipairs { a, b } do
      local rests, last = one:await_counts(function(counts)
        return counts.streams == 0 and counts.waiting == 0 and counts.connections == 0
      end)
      assert(rests, "seed " .. seed .. ": " .. last)
    end
    print(("seed %d: %d orders, %d answers"):format(seed, asked, answered))
    assert(answered > ENOUGH and told.fine, "seed " .. seed .. ": too few answers")
  end)
end)
