-- Runs alone: a thousand times two gateways dial each other at the same instant, over a network that delays.
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"

-- Fewer under sanitizers, for the time that it takes.
local ROUNDS = gateway.slowness > 1 and 300 or 1000
local DELAYS = { 0, 0.0003, 0.001, 0.002, 0.005 }

describe("two gateways that dial each other", function()
  after_each(gateway.stop_all)

  it("have one connection, each time, and lose no stream", function()
    math.randomseed(20251121)
    local a, b = nodes.pair { peer = "linger = 0", more = "log { level = info  access = off }" }
    local function delay() return DELAYS[math.random(#DELAYS)] end

    -- Both open at once; then each says one more thing, when there is but one connection left. `held`: the way of one
    -- dial, which comes too late.
    local function meet(first, second, round, held)
      local one, other = first:talk(), second:talk()
      if held then held:hold() end
      one:tell "open"
      other:tell "open"
      local name = ("round %d: "):format(round)
      assert.equal(second.name .. " to " .. first.name .. ": hello", one:hear(), name)
      assert.equal(first.name .. " to " .. second.name .. ": hello", other:hear(), name)
      if held then held:release() end
      assert(nodes.await_connections(a, b, 1), name .. "more than one connection stays")
      one:tell "say again"
      other:tell "say again"
      assert.equal(second.name .. " to " .. first.name .. ": again", one:hear(), name)
      assert.equal(first.name .. " to " .. second.name .. ": again", other:hear(), name)
      assert.equal(1, nodes.connections(a, b), name)
      local dialled_by_a = a.way:state().alive == 1
      one:tell "close"
      other:tell "close"
      assert.equal("1 OK", one:hear(), name)
      assert.equal("1 OK", other:hear(), name)
      one:finish()
      other:finish()
      assert(nodes.await_connections(a, b, 0), name .. "the connection does not go")
      return dialled_by_a
    end

    local function made() return a.way:state().made + b.way:state().made end

    local survivors, started = { [true] = 0, [false] = 0 }, process.now()
    for round = 1, ROUNDS do
      a.way:set { forth = delay(), back = delay() }
      b.way:set { forth = delay(), back = delay() }
      local first, second = a, b
      if math.random(2) == 1 then first, second = b, a end
      local before = made()
      local dialled_by_a = meet(first, second, round, round % 100 == 0 and a.way)
      assert(made() <= before + 2, "round " .. round .. ": somebody dialled twice")
      survivors[dialled_by_a] = survivors[dialled_by_a] + 1
    end
    local of_a, of_b = a:counts(), b:counts()
    local told = ("%d rounds in %.0f s: both dialled %d and %d times; a's connection stayed %d times, b's %d"):format(
      ROUNDS, process.now() - started, of_a.simultaneous, of_b.simultaneous, survivors[true], survivors[false])
    print(told)
    -- Each counts what it has seen: the other's word while its own dial was under way.
    assert(of_a.simultaneous > 0 and of_b.simultaneous > 0, told)
    assert(math.max(of_a.simultaneous, of_b.simultaneous) >= ROUNDS / 2, told)
    assert(survivors[true] > 0 and survivors[false] > 0, told)
    assert.equal(ROUNDS, of_a.accepted + of_b.accepted)
  end)
end)
