local gateway = require "support.gateway"
local hosts = require "support.hosts"
local nats = require "support.nats"
local process = require "support.process"

local join = hosts.join

describe("the history of several hosts", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  -- `timestamp` is the position. "many N" publishes 1 … N.
  local room = [[
    local tidewire = require "tidewire"
    local room = tidewire.topic("room",
      { type = "chat.ChatMessage", history = 1000, ttl = 600, position = "timestamp" })
    return { Chat = {
      on_open = function(stream)
        local since = stream:metadata "x-since"
        local _, note = room:subscribe(stream, { since = since, queue = 5000 })
        if note then tidewire.log.info(note .. " for " .. since) end
      end,
      on_message = function(_, message)
        local many = tonumber(message.message:match "^many (%d+)$")
        if not many then room:publish { sender = message.sender, message = message.message } end
        for i = 1, many or 0 do room:publish { sender = message.sender, message = tostring(i) } end
      end,
    } }
  ]]

  -- With a patience that no slow machine exhausts, unless said otherwise.
  local function serve(server, more)
    return hosts.serve(server, ("jetstream { %s }"):format(more or "patience = 1h"), room, "workers = 2")
  end

  -- Of one sender these numbers come, each once, in order; all positions that there are grow. Returns the last.
  local function expect(stream, sender, from, to)
    local last, next_one = 0, from
    while next_one <= to do
      local message = assert(stream:receive())
      if message.sender == sender then
        assert.equal(tostring(next_one), message.message)
        next_one = next_one + 1
        local position = tonumber(message.timestamp) or 0
        if position > 0 then
          assert.is_true(position > last)
          last = position
        end
      end
    end
    return last
  end

  it("is one, with the same positions, also for a host that comes later", function()
    local server = nats.start { jetstream = true }
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    hosts.meet(ann, bob)
    hosts.meet(bob, ann)
    ann:send { sender = "ann", message = "many 100" }
    bob:send { sender = "bob", message = "many 100" }
    local at_a, at_b = {}, {}
    for stream, all in pairs { [ann] = at_a, [bob] = at_b } do
      while #all < 200 do
        local message = assert(stream:receive())
        if message.sender ~= "hello" then all[#all + 1] = message end
      end
    end
    assert.same(at_a, at_b) -- one order, one position for each
    local position = at_a[100].timestamp
    for _, gw in ipairs { a, b, serve(server) } do
      gw:wait_for_log "bus: connected"
      local late = join(gw, { ["x-since"] = tostring(position) })
      for i = 101, 200 do assert.same(at_a[i], hosts.next_said(late)) end
      local last = join(gw, { ["x-since"] = "50" })
      for i = 151, 200 do assert.same(at_a[i], hosts.next_said(last)) end
      assert.is_false(gw:said "gap for")
    end
  end)

  it("leaves no gap when the server is killed and comes back, and local delivery never stops", function()
    local server = nats.start { jetstream = true }
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, amy, bob = join(a), join(a), join(b)
    hosts.meet(ann, bob)
    hosts.meet(bob, ann)
    local said = 0
    local function say(count) -- and amy, of the same host, hears it at once
      for _ = 1, count do
        said = said + 1
        ann:send { sender = "ann", message = tostring(said) }
      end
      return expect(amy, "ann", said - count + 1, said)
    end
    local seen = tostring(say(50))
    for _ = 1, 2 do
      local mark_a, mark_b = a:mark(), b:mark()
      server:kill()
      say(50)
      a:wait_for_log("bus: the connection is lost", mark_a)
      b:wait_for_log("bus: the connection is lost", mark_b)
      say(50)
      server:begin()
      say(50)
      a:wait_for_log("bus: connected", mark_a)
      b:wait_for_log("bus: connected", mark_b) -- or it has no connection to lose in the next round
      say(50)
    end
    expect(bob, "ann", 1, said)
    for _, gw in ipairs { a, b, serve(server) } do
      expect(join(gw, { ["x-since"] = "all" }), "ann", 1, said)
      local back = join(gw, { ["x-since"] = seen }) -- who was at the first of them before all that
      assert.equal("51", assert(back:receive()).message)
      expect(back, "ann", 52, said)
      assert.is_false(gw:said "gap for")
    end
    assert.same({ nil, "timeout" }, { bob:receive(0.1) })
    assert.same({ nil, "timeout" }, { amy:receive(0.1) })
  end)

  it("leaves no gap in bursts in which the server dies", function()
    local server = nats.start { jetstream = true }
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    hosts.meet(ann, bob)
    for round = 1, 3 do
      local mark = a:mark()
      ann:send { sender = "round " .. round, message = "many 300" }
      server:kill()
      a:wait_for_log("bus: the connection is lost", mark)
      expect(ann, "round " .. round, 1, 300)
      server:begin()
      a:wait_for_log("bus: connected", mark)
    end
    for round = 1, 3 do expect(bob, "round " .. round, 1, 300) end
    for _, gw in ipairs { a, b, serve(server) } do
      local late = join(gw, { ["x-since"] = "all" })
      for round = 1, 3 do expect(late, "round " .. round, 1, 300) end
    end
  end)

  it("waits for a server that is not there at first, and is of this host alone until then", function()
    local server = nats.start { jetstream = true }
    server:kill()
    local a = serve(server, "patience = 200ms")
    local ann = join(a, { ["x-since"] = "all" })
    ann:send { sender = "ann", message = "many 20" }
    expect(ann, "ann", 1, 20)
    expect(join(a, { ["x-since"] = "all" }), "ann", 1, 20)
    server:begin()
    a:wait_for_log "bus: connected"
    local b = serve(server)
    expect(join(b, { ["x-since"] = "all" }), "ann", 1, 20)
    expect(join(a, { ["x-since"] = "all" }), "ann", 1, 20)
  end)

  it("goes on when the last that was sent has been lost on the way", function()
    local server = nats.start { jetstream = true }
    local a = serve(server)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    ann:send { sender = "ann", message = "many 40" }
    expect(ann, "ann", 1, 40)
    local b = hosts.serve(server, "messages = 16 jetstream { patience = 1h }", room, "workers = 2")
    b:wait_for_log "bus: connected" -- and what comes at once is more than may wait there
    join(b):send { sender = "late", message = "1" }
    expect(ann, "late", 1, 1)
    expect(join(b, { ["x-since"] = "all" }), "ann", 1, 40)
  end)

  it("says where messages are missing", function()
    local server = nats.start { jetstream = true }
    local a = serve(server, "patience = 1h messages = 10")
    a:wait_for_log "bus: connected"
    local ann = join(a)
    ann:send { sender = "ann", message = "first" }
    local position = assert(ann:receive()).timestamp
    ann:send { sender = "ann", message = "many 30" }
    expect(ann, "ann", 1, 30)
    local b = serve(server)
    expect(join(b, { ["x-since"] = "all" }), "ann", 21, 30)
    expect(join(b, { ["x-since"] = tostring(position) }), "ann", 21, 30)
    b:wait_for_log("gap for " .. position)
  end)

  it("holds nothing back that is too large for the server with its headers", function()
    local server = nats.start { jetstream = true, config = "max_payload: 4096" }
    local a = serve(server)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    local large = 0
    for length = 3800, 4100, 10 do
      ann:send { sender = "ann", message = ("x"):rep(length) }
      local message = assert(ann:receive())
      assert.equal(length, #message.message)
      if (tonumber(message.timestamp) or 0) == 0 then large = large + 1 end
    end
    assert.is_true(large > 1 and large < 31)
    assert.is_truthy(a:wait_for_log("stays in this process"):find("the server takes 4096", 1, true))
    ann:send { sender = "ann", message = "small" }
    assert.is_true(tonumber(assert(ann:receive()).timestamp) > 0)
  end)

  it("waits for a consumer that the server refuses, and the bus goes on meanwhile", function()
    local server = nats.start { jetstream = true }
    local foreign = server:connect()
    local wanted = '{"name":"TIDEWIRE","subjects":["tidewire.k.*"],"storage":"file","retention":"limits",'
      .. '"max_msgs_per_subject":1000,"num_replicas":1,"max_consumers":1}'
    foreign:send "SUB answer 1\r\n"
    foreign:send(("PUB $JS.API.STREAM.CREATE.TIDEWIRE answer %d\r\n%s\r\n"):format(#wanted, wanted))
    assert.is_truthy(foreign:wait_for "stream_create_response")
    local a = serve(server)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    ann:send { sender = "ann", message = "many 20" }
    expect(ann, "ann", 1, 20)
    local b = serve(server)
    b:wait_for_log "cannot be followed"
    b:wait_for_log "bus: connected"
    b:wait_for_log "is there" -- as it hears over the bus
    local bob = join(b, { ["x-since"] = "all" })
    ann:cancel()
    assert.is_nil(a:stop())
    expect(bob, "ann", 1, 20)
    bob:send { sender = "bob", message = "1" }
    expect(bob, "bob", 1, 1)
    assert.is_false(b:said "cannot connect")
    assert.is_false(b:said "is lost")
  end)

  it("is not harmed by what others write into the stream", function()
    local server = nats.start { jetstream = true }
    local a = serve(server)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    ann:send { sender = "ann", message = "many 5" }
    expect(ann, "ann", 1, 5)
    local foreign = server:connect()
    local from = { "Tidewire-Type: chat.ChatMessage", "Tidewire-From: 00000000000000aa", "Tidewire-Sequence: 1" }
    for _ = 1, 20 do
      foreign:publish("tidewire.k.room", "\255\255")
      foreign:publish("tidewire.k.room", "\255\255", from)
      foreign:send("PUB tidewire.k.room $JS.ACK.TIDEWIRE.x.1.1.1.1.0 2\r\n\255\255\r\n")
    end
    foreign:flush()
    ann:send { sender = "ann", message = "6" }
    expect(ann, "ann", 6, 6)
    expect(join(serve(server), { ["x-since"] = "all" }), "ann", 1, 6)
    a:wait_for_log "bus: rejected"
  end)

  it("needs a server with JetStream, and says so", function()
    local server = nats.start()
    local a = serve(server)
    assert.is_truthy(a:wait_for_log("bus: cannot connect"):find("the stream TIDEWIRE", 1, true))
    local ann = join(a)
    ann:send { sender = "ann", message = "many 3" }
    expect(ann, "ann", 1, 3)
  end)

  -- These come next, and nothing else.
  local function expect_next(stream, sender, from, to)
    for i = from, to do
      local message = hosts.next_said(stream)
      assert.same({ sender, tostring(i) }, { message.sender, message.message })
    end
  end

  -- Who asks for the past of this gateway waits no longer for the server.
  local function await_impatience(gw, stream)
    local late = join(gw, { ["x-since"] = "all" })
    stream:send { sender = "late", message = "1" }
    expect_next(stream, "late", 1, 1)
    expect(late, "late", 1, 1)
  end

  for way, clock in pairs { right = 0, behind = -3600, ahead = 3600 } do
    it("is no news to those who were there before a server whose clock is " .. way, function()
      local server = nats.start { jetstream = true, clock = clock ~= 0 and clock or nil }
      local a = serve(server)
      a:wait_for_log "bus: connected"
      local ann = join(a)
      ann:send { sender = "old", message = "many 20" }
      expect_next(ann, "old", 1, 20)
      -- Longer ago than a gateway may be wrong, which is what the server takes to answer.
      local heard_at, mark = process.now(), a:mark()
      assert(process.await(gateway.patience, function() return clock == 0 or process.now() > heard_at + 1 end))
      server:kill()
      local b = serve(server, "patience = 50ms")
      local bob = join(b)
      await_impatience(b, bob)
      server:begin()
      b:wait_for_log "bus: connected"
      a:wait_for_log("bus: connected", mark)
      ann:send { sender = "new", message = "many 20" }
      expect_next(bob, "new", 1, 20)
      for _, sender in ipairs { "old", "new" } do -- and nothing is too old
        expect(join(b, { ["x-since"] = "all" }), sender, 1, 20)
      end
    end)
  end

  it("is no news after a reload that has changed the bus", function()
    local server = nats.start { jetstream = true }
    local a, b = serve(server), serve(server, "patience = 50ms")
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    hosts.meet(ann, bob)
    ann:send { sender = "ann", message = "many 20" }
    expect(bob, "ann", 1, 20)
    expect(ann, "ann", 1, 20)
    local mark = a:mark()
    server:kill()
    a:wait_for_log("bus: the connection is lost", mark)
    b:configure(hosts.config(server, "heartbeat = 4s jetstream { patience = 50ms }", "workers = 2"))
    assert.is_truthy(b:reload())
    await_impatience(b, bob)
    ann:send { sender = "new", message = "many 5" } -- stored before b is back, perhaps
    server:begin()
    expect_next(bob, "new", 1, 5)
    ann:send { sender = "new", message = "many 5" }
    expect_next(bob, "new", 1, 5)
  end)

  it("is news from the topic's beginning on, although it was stored before it could be heard", function()
    local server, other = nats.start { jetstream = true }, nats.start { jetstream = true }
    other:kill()
    local a, b = serve(server), serve(other)
    a:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    bob:send { sender = "bob", message = "1" } -- which comes when the topic has begun
    expect_next(bob, "bob", 1, 1)
    ann:send { sender = "ann", message = "many 20" }
    expect(ann, "ann", 1, 20)
    b:configure(hosts.config(server, "jetstream { patience = 1h }", "workers = 2"))
    assert.is_truthy(b:reload())
    expect_next(bob, "ann", 1, 20)
    ann:send { sender = "new", message = "many 5" }
    expect_next(bob, "new", 1, 5)
  end)

  it("loses nothing for subscribers of its host that block, whether the server is there or not", function()
    local server = nats.start { jetstream = true }
    local a = hosts.serve(server, "jetstream { patience = 100ms }", [[
      local tidewire = require "tidewire"
      local room = tidewire.topic("room", { type = "chat.ChatMessage", history = 2000 })
      return { Chat = {
        on_open = function(stream)
          if stream:metadata "x-slow" then room:subscribe(stream, { policy = "block", queue = 4, timeout = 600 }) end
        end,
        on_message = function()
          for i = 1, 150 do room:publish { timestamp = i, message = ("x"):rep(1000) } end
          local counters = room:counters()
          return { timestamp = counters.waited, message = counters.dropped_old .. " " .. counters.closed }
        end,
      } }
    ]], "workers = 2\nlimits { buffered_per_stream = 64KiB }")
    a:wait_for_log "bus: connected"
    local slow, speaker = {}, join(a)
    for i = 1, 2 do slow[i] = join(a, { ["x-slow"] = "yes" }) end
    speaker:send {}
    for i = 1, 150 do
      for _, stream in ipairs(slow) do assert.equal(i, assert(stream:receive()).timestamp) end
      if i == 50 then server:kill() end
      if i == 100 then server:begin() end
    end
    local told = assert(speaker:receive())
    assert.equal("0 0", told.message)
    assert.is_true(told.timestamp > 0)
    for _, stream in ipairs(slow) do assert.same({ nil, "timeout" }, { stream:receive(0.1) }) end
  end)

  it("comes and goes with a reload", function()
    local server = nats.start { jetstream = true }
    local a = serve(server)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    ann:send { sender = "ann", message = "many 10" }
    expect(ann, "ann", 1, 10)
    for _, config in ipairs { hosts.config(server), hosts.config_without, hosts.config(server, "jetstream { }") } do
      a:configure(config)
      assert.is_truthy(a:reload())
      ann:send { sender = "ann", message = "many 10" }
      expect(ann, "ann", 1, 10)
    end
    assert.is_truthy(process.await(gateway.patience, function()
      local late = join(a, { ["x-since"] = "all" })
      return pcall(expect, late, "ann", 1, 10)
    end))
  end)
end)
