local gateway = require "support.gateway"
local hosts = require "support.hosts"
local nats = require "support.nats"
local process = require "support.process"

local join = hosts.join

describe("presence over hosts", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  -- Who joins shows a name. What is said is answered by the count and the names; events are in the log.
  local room = [[
    local tidewire = require "tidewire"
    local room = tidewire.topic("room", { type = "chat.ChatMessage" })
    if tidewire.worker.id == 0 then
      room:watch(function(event, member) tidewire.log.info(("event %s %s"):format(event, tostring(member))) end)
    end
    return { Chat = {
      on_open = function(stream)
        if not stream:metadata "x-name" then stream:hold() return end
        for name in stream:metadata "x-name":gmatch "%S+" do room:subscribe(stream, { show = name }) end
      end,
      on_message = function(stream, message)
        if message.message == "hosts" then return { timestamp = tidewire.bus().hosts } end
        if message.message ~= "" then room:subscribe(stream, { show = message.message }) end
        local members = room:members()
        table.sort(members)
        return { sender = table.concat(members, " "), timestamp = room:count() }
      end,
    } }
  ]]

  local function enter(gw, name) return join(gw, { ["x-name"] = name }) end

  -- The stream's gateway knows these members, sooner or later, and so many subscribers.
  local function await(stream, names, count)
    local last
    local is_so = process.await(gateway.patience, function()
      stream:send {}
      last = assert(stream:receive())
      return (last.sender or "") == names and (last.timestamp or 0) == count
    end)
    if not is_so then
      error(("never \"%s\" and %d: \"%s\" and %s"):format(names, count, last.sender, last.timestamp), 2)
    end
  end

  local stopped -- a gateway
  gateway.before_stop(function()
    if stopped then stopped:signal "CONT" end
    stopped = nil
  end)

  -- Three heartbeats that a slow machine misses would make a host silent.
  local function serve(server, heartbeat)
    local bus = "heartbeat = " .. (heartbeat or "3s")
    return hosts.serve(server, bus, room, "workers = 2\ndrain_timeout = 100ms")
  end

  it("counts the subscribers of all hosts, and tells what they show, who comes and who goes", function()
    local server = nats.start()
    local a = serve(server)
    local ann, bob = enter(a, "ann"), enter(a, "bob")
    await(ann, "ann bob", 2)
    local b = serve(server) -- comes later: asks
    local cid = enter(b, "cid")
    await(cid, "ann bob cid", 3)
    await(ann, "ann bob cid", 3)
    b:wait_for_log "event join ann"
    b:wait_for_log "event join bob"
    a:wait_for_log "event join cid"
    bob:send { message = "rob" } -- shows something else
    assert(bob:receive())
    await(cid, "ann cid rob", 3)
    bob:cancel()
    await(cid, "ann cid", 2)
    b:wait_for_log "event leave rob"
    for _, gw in ipairs { a, b } do
      assert.equal(1, gw:count_in_log "event join ann")
      assert.equal(0, gw:count_in_log "event leave ann")
    end
    local mute = join(b) -- no subscriber
    cid:cancel()
    await(mute, "ann", 1)
    await(ann, "ann", 1)
    b:wait_for_log "is there" -- by a heartbeat, so that its end is worth a line
    assert.is_nil(a:stop())
    await(mute, "", 0)
    b:wait_for_log "has left"
    b:wait_for_log "event leave ann"
  end)

  it("forgets a host that dies, after a while", function()
    local server = nats.start()
    local a, b = serve(server, "1s"), serve(server, "1s")
    local ann, bob = enter(a, "ann"), enter(b, "bob")
    await(bob, "ann bob", 2)
    await(ann, "ann bob", 2)
    b:wait_for_log "is there"
    stopped = a
    a:signal "STOP" -- its connection stays
    b:wait_for_log "is silent: forgotten"
    await(bob, "bob", 1)
    b:wait_for_log "event leave ann"
    a:signal "CONT"
    await(bob, "ann bob", 2)
    await(ann, "ann bob", 2)
    assert.equal(0, a:count_in_log "event leave bob")
  end)

  it("is of this host alone while the server is away, and of all again when it is back", function()
    local server = nats.start()
    local a, b = serve(server), serve(server)
    local ann, bob = enter(a, "ann"), enter(b, "bob")
    await(bob, "ann bob", 2)
    await(ann, "ann bob", 2)
    server:kill()
    await(bob, "bob", 1)
    await(ann, "ann", 1)
    local cid = enter(a, "cid")
    ann:cancel()
    await(cid, "cid", 1)
    server:begin()
    await(bob, "bob cid", 2)
    await(cid, "bob cid", 2)
  end)

  -- The one heartbeat is that of the beginning, so that no host forgets another for its silence.
  for way, cut in pairs { ["before they leave"] = "kill", ["while they leave"] = "pause" } do
    it("forgets a topic's last subscribers when the server is lost " .. way, function()
      local server = nats.start()
      local a, b = serve(server, "60s"), serve(server, "60s")
      local ann, bob = enter(a, "ann"), enter(b, "bob")
      await(bob, "ann bob", 2)
      await(ann, "ann bob", 2)
      local mark_a, mark_b = a:mark(), b:mark()
      server[cut](server)
      if cut == "kill" then a:wait_for_log("bus: the connection is lost", mark_a) end
      a:write("scripts/chat.lua", "return { Chat = function() end }")
      ann:cancel()
      assert.is_truthy(a:reload())
      a:wait_for_log("the reload has settled", mark_a) -- with its last script the topic is nobody's here
      if cut == "pause" then server:kill() end
      b:wait_for_log("bus: the connection is lost", mark_b)
      await(bob, "ann bob", 2)
      server:begin()
      await(bob, "bob", 1)
    end)
  end

  it("holds no topic that nobody uses for as long as the server is away", function()
    local server = nats.start()
    local a = hosts.serve(server, "heartbeat = 200ms", [[
      local tidewire = require "tidewire"
      return { Chat = { on_message = function(stream, message)
        local is_fine = pcall(function()
          tidewire.topic(message.sender, { type = "chat.ChatMessage" }):subscribe(stream)
        end)
        local junk = {} -- a topic that nobody holds any more goes with the garbage
        for i = 1, 10000 do junk[i] = {} end
        return { message = tostring(is_fine) }
      end } }
    ]], "workers = 1\nlimits { topics = 3 }")
    a:wait_for_log "bus: connected"
    local foreign = server:connect()
    foreign:send "SUB tidewire.p.> 1\r\n"
    foreign:flush()
    local function enter_all(stream, first)
      for i = first, first + 2 do
        stream:send { sender = "room" .. i }
        if assert(stream:receive()).message ~= "true" then return false end
      end
      return true
    end
    local ann, mark = join(a), a:mark()
    assert.is_true(enter_all(ann, 1))
    for i = 1, 3 do assert.is_truthy(foreign:wait_for("tidewire.p.room" .. i)) end
    server:kill()
    a:wait_for_log("bus: the connection is lost", mark)
    ann:cancel()
    assert.is_truthy(process.await(gateway.patience, function()
      local bob = join(a)
      local is_fine = enter_all(bob, 4)
      if not is_fine then bob:cancel() end
      return is_fine
    end))
  end)

  it("tells of more than one message holds", function()
    local server = nats.start { config = "max_payload: 2048" }
    local a, b = serve(server), serve(server)
    local streams, names = {}, {}
    for i = 1, 30 do
      names[i] = ("%02d%s"):format(i, ("x"):rep(200))
      streams[i] = enter(a, names[i])
    end
    local bob = enter(b, "bob")
    names[31] = "bob"
    await(bob, table.concat(names, " "), 31)
    for i = 1, 30, 2 do streams[i]:cancel() end
    local left = {}
    for i = 2, 30, 2 do left[#left + 1] = names[i] end
    left[#left + 1] = "bob"
    await(bob, table.concat(left, " "), #left)
  end)

  it("bounds what it keeps of subscribers that show little", function()
    local server = nats.start()
    local b = hosts.serve(server, "heartbeat = 60s bytes = 64KiB", room)
    b:wait_for_log "bus: connected"
    local bob = enter(b, "bob")
    await(bob, "bob", 1)
    local lines = {}
    for i = 1, 2000 do lines[i] = ('+%d "x"\n'):format(i) end
    local foreign, version = server:connect(), 0
    assert.is_truthy(process.await(gateway.patience, function() -- until the subscription is there
      version = version + 1
      foreign:publish("tidewire.p.room", ("s %d 0 1 2000\n%s"):format(version, table.concat(lines)),
        { "Tidewire-From: 00000000000000aa" })
      return b:said "more is told of subscribers elsewhere than"
    end))
    bob:send {}
    local _, count = assert(bob:receive()).sender:gsub("x", "")
    assert.is_true(count > 100 and count < 64 * 1024 / 50)
  end)

  it("believes no host what it cannot read", function()
    local server = nats.start()
    local b = hosts.serve(server, "heartbeat = 500ms bytes = 64KiB", room)
    local bob = enter(b, "bob")
    await(bob, "bob", 1)
    local foreign = server:connect()
    local from = { "Tidewire-From: 00000000000000aa" }
    local function say(text, headers) foreign:publish("tidewire.p.room", text, headers or from) end
    local n = 0
    -- Until the subscription is there.
    assert.is_truthy(process.await(gateway.patience, function()
      n = n + 1
      foreign:publish("tidewire.h", "3600000 x", from) -- stays until it says goodbye
      say(("s %d 0 1 2\n+1 \"ann\"\n"):format(n))
      return b:said "event join ann"
    end))
    local mark = b:mark()
    for _, text in ipairs {
      "", "x", "s", "d", "s 1", "d 999 0 1", "d 1 2 3 4\n", "s 99999999999999999999999 0 1 1\n", "s -1 0 1 1\n",
      ("s %d 7 1 1\n+2 \"x\"\n"):format(n + 1), ("d %d %d 99999999999\n"):format(n + 1, n),
      ("d %d 5000 1\n+3 \"x\"\n"):format(n + 7), "\0", ("\255"):rep(1000), "+1 2\n",
    } do
      say(text)
      foreign:publish("tidewire.h", text, from)
    end
    say(("s %d 0 1 5\n"):format(n + 100), { "X: y" })
    say(("s %d 0 1 5\n"):format(n + 100))
    for i, text in ipairs {
      "+5 {\n", "+5 ", "+ 5\n", "+5 1 2\n", "+5 \"\0\"\n", "+5 [[\n", "-\n", "+9999999999999999999999 1\n", "5 1\n",
      '+5 "' .. ("x"):rep(5000) .. '"\n',
    } do say(("d %d %d 5\n%s"):format(n + 100 + i, n + 99 + i, text)) end
    -- JSON that this gateway's Lua does not take, and more than it takes in total.
    say(("s %d 0 1 5\n+50 1e999\n+51 %s\n+52 \"eve\"\n"):format(n + 200, ("["):rep(150) .. ("]"):rep(150)))
    foreign:flush()
    b:wait_for_log("event join eve", mark)
    b:wait_for_log "bus: rejected"
    for step, shown in ipairs { 10, 15 } do -- of 4000 bytes each, and what stands beside them, in 64 KiB
      local lines = {}
      for i = 1, 10 do lines[i] = ('+%d "%s"\n'):format(100 * step + i, ("y"):rep(4000)) end
      say(("d %d %d 5\n%s"):format(n + 200 + step, n + 199 + step, table.concat(lines)))
      assert.is_truthy(process.await(gateway.patience, function()
        bob:send {}
        local names, long = assert(bob:receive()).sender:gsub(" y+", "")
        return names == "bob eve" and long == shown
      end))
    end
    assert.is_false(b:said "event join nil")
    -- More hosts than there may be. What is too much at once is dropped at its end: another one is first each time.
    local first = 0
    local function all_say(text)
      local words = {}
      first = (first + 300) % 2000
      for at = 1, 2000 do
        local i = (first + at) % 2000 + 1
        local head = ("NATS/1.0\r\nTidewire-From: 00000000%08x\r\n\r\n"):format(i)
        words[at] = ("HPUB tidewire.h %d %d\r\n%s%s\r\n"):format(#head, #head + #text, head, text)
      end
      foreign:send(table.concat(words))
      foreign:flush()
    end
    local function await_hosts(count)
      assert.is_truthy(process.await(gateway.patience, function()
        all_say(count > 0 and "3600000 x" or "0 x")
        bob:send { message = "hosts" }
        local now = assert(bob:receive()).timestamp or 0
        assert.is_true(now <= 1024)
        return now == count
      end))
    end
    await_hosts(1024)
    foreign:publish("tidewire.h", "0 x", from)
    await_hosts(0)
    await(bob, "bob", 1)
    assert.is_true(b:count_in_log("is there", mark) < 100)
  end)
end)
