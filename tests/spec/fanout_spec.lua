-- One publisher and many subscribers, on many connections and in all workers, some of which are in trouble: the others
-- get everything, in order, and what becomes of each message is counted.
local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local process = require "support.process"

local chat = "chat.ChatService/Chat"
local SECONDS = tonumber(os.getenv "TIDEWIRE_CHAOS_SECONDS" or 3)
local MIB = 1048576

-- A stream that says who it is subscribes; the others tell the gateway what to do. What is published is numbered.
local script = [[
local tidewire = require "tidewire"
local room = tidewire.topic("room", { type = "chat.ChatMessage" })
local text, large, number, listeners = ("x"):rep(1000), ("x"):rep(16000), 1000, 0

-- By turns. Never are more than 1000 messages on their way to them.
local function listen(stream)
  local kinds = {
    { queue = 1000 },
    { queue = 1000, filter = { sender = "publisher" } },
    { queue = 1000, filter = function(_, message) return message.timestamp > 0 end },
    { policy = "block", timeout = 600 },
  }
  room:subscribe(stream, kinds[listeners % #kinds + 1])
  listeners = listeners + 1
  tidewire.log.info("a listener in worker " .. tidewire.worker.id)
end

local function publish(what)
  number = number + 1
  return room:publish { sender = "publisher", message = what or text, timestamp = number }
end

local orders = {}

function orders.publish(count) for _ = 1, count do publish() end end
function orders.publish_large(count) for _ = 1, count do publish(large) end end

-- Slowly, so that much else happens meanwhile.
function orders.trickle(count)
  for i = 1, count do
    publish()
    if i % 3 == 0 then tidewire.sleep(0.001) end
  end
end

-- Says how many had been published before the one that waited until a subscriber was closed.
function orders.publish_and_watch(count)
  for _ = 1, count do
    local closed = room:counters().closed
    publish()
    if room:counters().closed > closed then tidewire.log.info(("closed behind %d"):format(number - 1001)) end
  end
end

function orders.count() return room:count() end

function orders.counters()
  local counters, list = room:counters(), {}
  for name, value in pairs(counters) do list[#list + 1] = name .. "=" .. value end
  return table.concat(list, " ")
end

return { Chat = {
  on_open = function(stream)
    local policy = stream:metadata "x-policy"
    if policy then
      room:subscribe(stream, { policy = policy, queue = 20, key = policy == "coalesce" and "sender" or nil,
        timeout = policy == "block" and 0.05 or nil })
    elseif not stream:metadata "x-orders" then
      listen(stream)
    end
  end,
  on_message = function(_, message)
    local answer = orders[message.sender](message.timestamp)
    return { message = tostring(answer) }
  end,
  on_half_close = function(stream) stream:close() end,
} }
]]

describe("a topic with subscribers on many connections and in all workers", function()
  after_each(gateway.stop_all)

  -- A gateway and `count` listeners on as many connections.
  local function start(count)
    local gw = gateway.start { scripts = { ["chat.lua"] = script }, config = [[
      workers = 4
      limits { buffered_per_stream = 16KiB  stalled = 1h }
      log { level = info  access = off }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
    local channels = {}
    for i = 1, count do channels[i] = client.connect(gw.address) end
    local room = { gw = gw, published = 0, count = count,
      orders = client.connect(gw.address):open(chat, { metadata = { ["x-orders"] = "yes" } }) }
    room.listeners = client.load(channels,
      { kind = "listeners", count = count, method = chat, field = "timestamp", first = 1001 })

    function room:order(order, number)
      self.orders:send { sender = order, timestamp = number }
      return function() return assert(self.orders:receive()).message end
    end

    function room:await_count(n)
      assert.is_truthy(process.await(gateway.patience, function() return self:order "count"() == tostring(n) end))
    end

    -- So many, by that order; done when all listeners have them. In between `meanwhile` is called.
    function room:publish(order, n, meanwhile)
      local answer = self:order(order, n)
      if meanwhile then meanwhile() end
      answer()
      self.published = self.published + n
      local state = assert(self.listeners:await("received", self.published * self.count))
      assert.same({ 0, 0, {} }, { state.wrong, state.broken, state.reasons })
    end

    function room:counters()
      local counters = {}
      for name, value in self:order "counters"():gmatch "(%S+)=(%d+)" do counters[name] = tonumber(value) end
      return counters
    end

    -- Of those that are named: whether a publish has waited is another matter.
    function room:await_counters(wanted)
      local last = {}
      process.await(gateway.patience, function()
        local counters, is_same = self:counters(), true
        for name, value in pairs(wanted) do
          last[name] = counters[name]
          is_same = is_same and last[name] == value
        end
        return is_same
      end)
      assert.same(wanted, last)
    end

    -- Not one message more has come, and nothing was wrong with any.
    function room:finish()
      local state = self.listeners:stop(gateway.patience)
      assert.same({ self.published * self.count, 0, 0, {} },
        { state.received, state.wrong, state.broken, state.reasons })
    end

    room:await_count(count)
    for id = 0, 3 do gw:wait_for_log("a listener in worker " .. id) end
    return room
  end

  -- A subscriber that takes no byte of any message.
  local function join_stuck(room, policy, number)
    local wire = assert(raw.connect(room.gw.address, { settings = { [4] = 0 } }))
    wire:headers(1, chat, { ["x-policy"] = policy })
    assert(wire:expect { type = "HEADERS", stream = 1 })
    room:await_count(room.count + (number or 1))
    return wire
  end

  -- What becomes of the messages for one that reads nothing: its stream holds some, its queue others, and so many are
  -- still queued behind the last. A message is 1022 bytes.
  local HELD, QUEUE = math.ceil(16 * 1024 / 1022), 20
  local LISTENERS, BATCH, ALL = 16, 100, 300
  local fates = {
    { policy = "close", discarded = QUEUE + 1, closed = 1, queued = 0 },
    { policy = "drop_old", dropped_old = ALL - HELD - QUEUE, queued = QUEUE },
    { policy = "drop_new", dropped_new = ALL - HELD - QUEUE, queued = QUEUE },
    { policy = "coalesce", coalesced = ALL - HELD - 1, queued = 1 },
  }

  local function counters(fate)
    local expected = { published = ALL, encoded = ALL, delivered = ALL * LISTENERS + HELD, dropped_old = 0,
      dropped_new = 0, coalesced = 0, discarded = 0, closed = 0, replayed = 0, refused = 0 }
    for name, value in pairs(fate) do
      if expected[name] then expected[name] = value end
    end
    return expected
  end

  for _, fate in ipairs(fates) do
    it(("gives them all, and counts what %s does with one that reads nothing"):format(fate.policy), function()
      local room = start(LISTENERS)
      local stuck = join_stuck(room, fate.policy)
      for _ = 1, ALL, BATCH do room:publish("publish", BATCH) end
      local expected = counters(fate)
      room:await_counters(expected)
      stuck:abort()
      expected.discarded = expected.discarded + fate.queued
      room:await_counters(expected)
      room:finish()
    end)
  end

  it("gives them all, and counts what block does with one that reads nothing", function()
    local room = start(LISTENERS)
    join_stuck(room, "block")
    room:publish("publish_and_watch", ALL)
    local before = tonumber(room.gw:wait_for_log("closed behind"):match "closed behind (%d+)")
    assert.is_true(before > HELD and before <= HELD + QUEUE, before)
    room:await_counters(counters { discarded = before - HELD, closed = 1 })
    room:finish()
  end)

  it("keeps no more than their queues for those that read nothing", function()
    if gateway.slowness > 1 then return end -- a sanitizer keeps what was freed
    local room = start(4)
    for i, policy in ipairs { "drop_old", "drop_new", "coalesce" } do join_stuck(room, policy, i) end
    room:publish("publish_large", 100)
    local before, more = room.gw:resident_bytes(), 24 * MIB
    for _ = 1, more, 50 * 16000 do room:publish("publish_large", 50) end
    local after = room.gw:resident_bytes()
    assert.is_true(after < before + more / 4, ("%d MiB, before %d"):format(after / MIB, before / MIB))
    room:finish()
  end)

  it("gives them all while others are killed at any moment", function()
    local seed = tonumber(os.getenv "TIDEWIRE_CHAOS_SEED" or os.time())
    math.randomseed(seed)
    local room = start(12)
    local policies = { "close", "drop_old", "drop_new", "coalesce", "block" }
    local victims = {}

    local function join()
      local takes = math.random(3) > 1
      local victim = { streams = math.random(6),
        wire = assert(raw.connect(room.gw.address, { settings = { [4] = takes and 65535 or 0 } })) }
      for i = 1, victim.streams do
        victim.wire:headers(2 * i - 1, chat, { ["x-policy"] = policies[math.random(#policies)] })
      end
      victims[#victims + 1] = victim
    end

    local function any_stream(victim) return 2 * math.random(victim.streams) - 1 end
    local function go(victim, how)
      victim.wire[how](victim.wire)
      victim.is_gone = true
    end
    local troubles = {
      function(victim) go(victim, "abort") end,
      function(victim) go(victim, "close") end,
      function(victim) victim.wire:reset(any_stream(victim)) end,
      function(victim) victim.wire:data(any_stream(victim), "", true) end,
      function(victim) victim.wire:waiting() end,
    }
    local kills, began = 0, process.now()
    repeat
      room:publish("trickle", 150, function()
        while #victims < 6 do join() end
        for _ = 1, 10 do
          local nth = math.random(#victims)
          troubles[math.random(#troubles)](victims[nth])
          if victims[nth].is_gone then
            table.remove(victims, nth)
            kills = kills + 1
            join()
          end
        end
      end)
    until process.now() > began + SECONDS and kills > 5
    for _, victim in ipairs(victims) do go(victim, "abort") end
    room:await_count(room.count)
    local counts = room:counters()
    assert.same({ room.published, room.published }, { counts.published, counts.encoded })
    room:finish()
    if os.getenv "TIDEWIRE_CHAOS_SECONDS" then
      print(("seed %d, killed %d, published %d"):format(seed, kills, room.published))
    end
  end)
end)
