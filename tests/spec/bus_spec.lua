local gateway = require "support.gateway"
local client = require "support.client"
local hosts = require "support.hosts"
local nats = require "support.nats"
local process = require "support.process"
local raw = require "support.raw"

local serve, join, meet, next_said, figures = hosts.serve, hosts.join, hosts.meet, hosts.next_said, hosts.figures

describe("the bus", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  it("carries what is published, in order for each publisher, both ways, and nothing twice", function()
    local server = nats.start()
    local a, b = hosts.pair(server)
    local ann, bob = join(a), join(b)
    meet(ann, bob)
    meet(bob, ann)
    for i = 1, 300 do
      ann:send { sender = "ann", timestamp = i }
      bob:send { sender = "bob", timestamp = i }
    end
    for _, stream in ipairs { ann, bob } do
      local heard = { ann = 0, bob = 0 }
      while heard.ann < 300 or heard.bob < 300 do
        local message = next_said(stream)
        assert.equal(heard[message.sender] + 1, message.timestamp)
        heard[message.sender] = message.timestamp
      end
      assert.same({ nil, "timeout" }, { stream:receive(0.1) })
    end
  end)

  it("is not needed to start, nor to go on: what waited is sent when the server is there", function()
    local server = nats.start()
    server:kill()
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: cannot connect"
    local ann, amy = join(a), join(a)
    ann:send { sender = "ann", timestamp = 1 }
    assert.equal(1, next_said(amy).timestamp)
    local bob = join(b)
    server:begin()
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    meet(amy, bob)

    local mark_a, mark_b = a:mark(), b:mark()
    server:kill()
    a:wait_for_log("bus: the connection is lost", mark_a)
    b:wait_for_log("bus: the connection is lost", mark_b)
    for i = 2, 100 do
      ann:send { sender = "ann", timestamp = i }
      assert.equal(i, next_said(amy).timestamp)
    end
    server:begin()
    b:wait_for_log("bus: connected", mark_b)
    a:wait_for_log("0 messages were dropped", mark_a)
    meet(amy, bob)
    ann:send { sender = "ann", timestamp = 101 }
    local last = 1 -- b may have come back after a, which then has nobody to send to
    repeat
      local said = next_said(bob).timestamp
      assert.is_true(said > last)
      last = said
    until last == 101
  end)

  it("takes another server of several when one is away", function()
    local one, two = nats.start(), nats.start()
    one:kill()
    local both = { url = one.url .. '", "' .. two.url } -- of a list
    local a = gateway.start { scripts = { ["chat.lua"] = hosts.room },
      config = hosts.config(both):gsub('url = (".-") reconnect', "url = { %1 } reconnect") }
    a:wait_for_log("bus: connected to " .. two.url)
    local b = serve(two)
    b:wait_for_log "bus: connected"
    meet(join(a), join(b))
    local mark = a:mark()
    one:begin()
    two:kill()
    a:wait_for_log("bus: connected to " .. one.url, mark)
  end)

  it("goes on when the server hangs, which is found out by pings", function()
    local server = nats.start()
    local a, b = serve(server, "ping = 100ms connect_timeout = 200ms"), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, amy, bob = join(a), join(a), join(b)
    meet(ann, bob)
    local mark = a:mark()
    server:pause()
    ann:send { sender = "ann", timestamp = 1 }
    assert.equal(1, next_said(amy).timestamp)
    a:wait_for_log("bus: the connection is lost", mark)
    ann:send { sender = "ann", timestamp = 2 }
    assert.equal(2, next_said(amy).timestamp)
    server:go_on()
    a:wait_for_log("bus: connected", mark)
    meet(ann, bob)
  end)

  it("drops and counts whatever is no message of the topic's", function()
    local server = nats.start()
    local a = serve(server, "messages = 1000", hosts.telling)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    local foreign = server:connect()
    local subject, bytes = "tidewire.m.room", "\10\3ann"
    local headers = { "Tidewire-Type: chat.ChatMessage", "Tidewire-From: 00000000000000aa", "Tidewire-Sequence: 1" }
    -- Until the subscription is there.
    assert.is_truthy(process.await(gateway.patience, function()
      foreign:publish(subject, bytes, headers)
      return ann:receive(0.05)
    end))
    -- Behind this one nothing comes any more of those.
    foreign:publish(subject, bytes .. "\24\9", headers)
    assert(ann:receive_until(function(message) return message.timestamp == 9 end))
    local before = figures(ann)

    local function without(n, instead)
      local changed = { headers[1], headers[2], headers[3] }
      changed[n] = instead or table.remove(changed, n)
      return changed
    end
    local hostile = {
      { bytes },
      { "", without(1) }, { bytes, without(2, "X: y") }, { bytes, without(3, "X: y") },
      { bytes, without(1, "Tidewire-Type: chat.Other") }, { bytes, without(1, "Tidewire-Type: ") },
      { bytes, without(1, "Tidewire-Type: " .. ("x"):rep(4000)) },
      { bytes, without(2, "Tidewire-From: 00000000000000AA") }, { bytes, without(2, "Tidewire-From: aa") },
      { bytes, without(3, "Tidewire-Sequence: -1") }, { bytes, without(3, "Tidewire-Sequence: 99999999999999999999") },
      { "\255\255\255\255", headers }, { "\10\200ann", headers }, { "\10\3\255\255\255", headers },
      { ("\0"):rep(100), headers }, { "\24", headers },
    }
    for _, one in ipairs(hostile) do foreign:publish(subject, one[1], one[2]) end
    foreign:flush()
    local after = hosts.await_figures(ann, function(now) return now.rejected - before.rejected >= #hostile end)
    assert.equal(#hostile, after.rejected - before.rejected)
    assert.equal(before.received, after.received)

    for _ = 1, 20 do
      local many = {}
      for i = 1, 500 do many[i] = ("PUB %s 64\r\n%s\r\n"):format(subject, ("\255"):rep(64)) end
      foreign:send(table.concat(many))
    end
    foreign:flush()
    ann:send { sender = "ann", timestamp = 7 }
    assert.equal(7, assert(ann:receive()).timestamp)
    hosts.await_figures(ann, function(now)
      return now.rejected + now.dropped_in - after.rejected - after.dropped_in >= 10000
    end)
    assert.is_true(a:count_in_log "bus: rejected" < 20)
  end)

  it("makes no publisher wait for another host: a full subscriber there loses its oldest, counted", function()
    local server = nats.start()
    local a, b = hosts.pair(server, "", hosts.telling, "limits { buffered_per_stream = 64KiB }")
    local patient = { ["x-queue"] = "5000" } -- however slow their client is
    local ann, bob = join(a, patient), join(b, patient)
    hosts.await_figures(bob, function(now)
      ann:send { sender = "ann" }
      return now.received > 0
    end)
    ann:send { sender = "ann", timestamp = 1 }
    assert(bob:receive_until(function(message) return message.timestamp == 1 end))
    local before = figures(bob).counters
    local stuck = assert(raw.connect(b.address)) -- never opens its window
    stuck:headers(1, hosts.chat, { ["x-policy"] = "block", ["x-queue"] = "4" })
    assert(stuck:expect { type = "HEADERS", stream = 1 })
    assert(ann:send_times(500, { sender = "ann", message = ("x"):rep(1000) }))
    hosts.await_figures(bob, function(now) return now.counters.received == before.received + 500 end)
    -- To bob, to the stuck one's stream, out of its queue, or still in it.
    local now = hosts.await_figures(bob, function(last)
      return last.counters.delivered - before.delivered + last.counters.dropped_old + 4 == 2 * 500
    end)
    assert.is_true(now.counters.dropped_old > 200)
    assert.equal(0, now.counters.closed)
    assert.equal(0, now.missed)
    assert.equal(0, hosts.figures(ann).counters.waited)
    stuck:reset(1)
  end)

  it("tells nothing to a server that the config names no more when it answers", function()
    local old, new = nats.start(), nats.start()
    local at_old, at_new = old:connect(), new:connect()
    for _, foreign in ipairs { at_old, at_new } do
      foreign:send "SUB tidewire.> 1\r\n"
      foreign:flush()
    end
    old:pause()
    local a = serve(old, "connect_timeout = 60s", hosts.telling)
    local ann = join(a)
    ann:send { sender = "ann", message = "to the new one" }
    assert(ann:receive())
    local mark = a:mark()
    a:configure(hosts.config(new))
    assert.is_truthy(a:reload())
    a:wait_for_log("the config has changed", mark)
    old:go_on()
    a:wait_for_log("bus: connected to " .. new.url, mark)
    assert.is_truthy(at_new:wait_for "to the new one")
    at_old:send "PING\r\n"
    assert.is_truthy(at_old:wait_for "PONG")
    assert.is_nil(at_old.rest:find("Tidewire-From", 1, true))
    assert.equal(0, hosts.figures(ann).losses)
  end)

  it("ends clean while messages come", function()
    local server = nats.start()
    local foreign = server:connect()
    local head = "NATS/1.0\r\nTidewire-From: 00000000000000aa\r\n\r\n"
    local word = ("HPUB tidewire.h %d %d\r\n%s2000 x\r\n"):format(#head, #head + 6, head)
    for _ = 1, 5 do
      local a = serve(server, "", hosts.telling)
      a:wait_for_log "bus: connected"
      a:signal "TERM"
      local ended = process.await(gateway.patience, function()
        foreign:send(word:rep(2000))
        return a.process:wait(0)
      end)
      assert.equal(0, ended)
    end
  end)

  it("takes no message that is larger than a gateway or the server allows", function()
    local server = nats.start { config = "max_payload: 4096" }
    local a = serve(server, "", hosts.telling)
    local b = serve(server, "", hosts.telling, "limits { message = 2KiB }")
    local ann, bob = join(a), join(b)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    hosts.await_figures(bob, function(now)
      ann:send { sender = "ann", message = "small" }
      return now.received > 0
    end)
    ann:send { sender = "ann", message = ("x"):rep(3000) }
    hosts.await_figures(bob, function(now) return now.rejected == 1 end)
    ann:send { sender = "ann", message = ("x"):rep(5000) }
    hosts.await_figures(ann, function(now) return now.dropped_out == 1 end)
    for length = 4000, 4080, 20 do -- with headers some are too large, and do not cost the connection
      ann:send { sender = "ann", message = ("x"):rep(length) }
    end
    assert.is_truthy(a:wait_for_log("stays in this process"):find("the server takes 4096", 1, true))
    local received = figures(bob).received
    ann:send { sender = "ann", message = "small" }
    hosts.await_figures(bob, function(now) return now.received > received end)
    assert.is_true(figures(ann).dropped_out > 1)
    assert.equal(0, figures(ann).losses)
  end)

  it("takes no message that is larger than what may wait, and keeps what waits", function()
    local server = nats.start()
    local a = serve(server, "bytes = 64KiB", hosts.telling)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    local mark = a:mark()
    server:kill()
    a:wait_for_log("bus: the connection is lost", mark)
    for i = 1, 10 do ann:send { sender = "ann", timestamp = i } end
    hosts.await_figures(ann, function(now) return now.waiting >= 10 end)
    ann:send { sender = "ann", message = ("x"):rep(70000) }
    local now = hosts.await_figures(ann, function(now) return now.dropped_out == 1 end)
    assert.is_true(now.waiting >= 10)
    assert.is_truthy(a:wait_for_log("stays in this process"):find("`bytes` allows 65536", 1, true))
    server:begin()
    hosts.await_figures(ann, function(last) return last.sent == 10 and last.waiting == 0 end)
    assert.equal(1, figures(ann).dropped_out)
  end)

  it("drops what has another type than the topic has here, both ways, and says so", function()
    local server = nats.start()
    local a = serve(server, "", hosts.telling)
    local b = serve(server, "", [[
      local tidewire = require "tidewire"
      local room = tidewire.topic("room", { type = "greet.GreetRequest" })
      room:subscribe(function(request) tidewire.log.info("heard " .. request.name) end)
      return { Chat = function(stream)
        for _ in stream:messages() do
          room:publish { name = "itself" }
          local counters = room:counters()
          stream:send { timestamp = tidewire.bus().rejected, message = tostring(counters.received) }
        end
      end }
    ]])
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, bob = join(a), join(b)
    assert.is_truthy(process.await(gateway.patience, function()
      ann:send { sender = "ann" }
      assert(ann:receive())
      bob:send {}
      local told = assert(bob:receive())
      assert.equal("0", told.message)
      return (tonumber(told.timestamp) or 0) > 0 and figures(ann).rejected > 0
    end))
    b:wait_for_log "it carries greet.GreetRequest, not chat.ChatMessage"
    a:wait_for_log "it carries chat.ChatMessage, not greet.GreetRequest"
    b:wait_for_log "heard itself"
    assert.is_false(b:said "heard ann")
    assert.equal(0, figures(ann).received)
  end)

  it("says to publishers whom they have reached in their process, and counts all hosts' subscribers", function()
    local server = nats.start()
    local a, b = hosts.pair(server, "", [[
      local tidewire = require "tidewire"
      local room = tidewire.topic("room", { type = "chat.ChatMessage" })
      return { Chat = {
        on_open = function(stream)
          if stream:metadata "x-listens" then room:subscribe(stream, { filter = { sender = "nobody" } }) end
        end,
        on_message = function() return { timestamp = room:publish {}, message = tostring(room:count()) } end,
      } }
    ]], "workers = 2")
    for _, gw in ipairs { a, a, a, b, b } do join(gw, { ["x-listens"] = "yes" }) end
    for gw, reached in pairs { [a] = 3, [b] = 2 } do
      local stream = join(gw)
      assert.is_truthy(process.await(gateway.patience, function()
        stream:send {}
        local told = assert(stream:receive())
        assert.equal(reached, told.timestamp)
        return told.message == "5"
      end))
    end
  end)

  it("keeps in a topic's history what other hosts say, and sends what was published before a gateway ends", function()
    local server = nats.start()
    local a, b = hosts.pair(server, "", [[
      local tidewire = require "tidewire"
      local room = tidewire.topic("room", { type = "chat.ChatMessage", history = 1000, ttl = 600 })
      return { Chat = {
        on_open = function(stream) room:subscribe(stream, { since = stream:metadata "x-since" }) end,
        on_message = function(stream, message)
          if message.message ~= "many" then room:publish(message) return end
          for i = 1, 500 do room:publish { sender = "ann", timestamp = i } end
          stream:close()
        end,
      } }
    ]])
    local ann, bob = join(a), join(b)
    meet(ann, bob)
    ann:send { message = "many" }
    for i = 1, 500 do assert.equal(i, next_said(ann).timestamp) end
    assert.equal("OK", ann:status().code)
    assert.is_nil(a:stop())
    for i = 1, 500 do assert.equal(i, next_said(bob).timestamp) end
    local amy = join(b, { ["x-since"] = "all" })
    for i = 1, 500 do assert.equal(i, next_said(amy).timestamp) end
  end)

  it("comes, changes and goes with a reload, and local subscribers notice nothing", function()
    local one, two = nats.start(), nats.start()
    local b = serve(two)
    local a = serve(one)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
    local ann, amy, bob = join(a), join(a), join(b)
    local n = 0
    local function talk()
      n = n + 1
      ann:send { sender = "ann", timestamp = n }
      assert.equal(n, next_said(amy).timestamp)
    end
    talk()
    local mark = a:mark()
    a:configure(hosts.config(one, "", "drain_timeout = 9s"))
    assert.is_truthy(a:reload())
    talk()
    assert.is_false(a:said("bus:", mark)) -- the same section: nothing happens
    a:configure(hosts.config(two))
    assert.is_truthy(a:reload())
    talk()
    a:wait_for_log("bus: connected to " .. two.url, mark)
    meet(ann, bob)
    a:configure(hosts.config_without)
    assert.is_truthy(a:reload())
    a:wait_for_log("bus: the connection is closed", mark)
    -- How many messages the server has got before this one, and behind the last such.
    local foreign, word = two:connect(), 0
    local function count_to_bob()
      local count = -1
      word = word + 1
      foreign:publish("tidewire.m.room=2c=20=2a=2e=3e", "\10\1x\24" .. string.char(word),
        { "Tidewire-Type: chat.ChatMessage", "Tidewire-From: 00000000000000aa", "Tidewire-Sequence: " .. word })
      repeat
        local message = assert(bob:receive())
        count = count + 1
      until message.sender == "x" and message.timestamp == word
      return count
    end
    count_to_bob()
    talk()
    assert.equal(0, count_to_bob())
    a:configure(hosts.config(two))
    assert.is_truthy(a:reload())
    meet(ann, bob)
    talk()
  end)
end)

describe("etc/bus-a.conf and etc/bus-b.conf", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  local function read(name)
    local file = assert(io.open(gateway.root .. "/etc/bus-" .. name .. ".conf"))
    local text = file:read "*a"
    file:close()
    return text
  end

  it("share a chat room", function()
    local server = nats.start()
    local streams = {}
    for _, name in ipairs { "a", "b" } do
      local code, output = gateway.run { "check", "-c", gateway.root .. "/etc/bus-" .. name .. ".conf" }
      assert.equal(0, code, output)
      local conf = read(name):gsub('"%.%./', '"' .. gateway.root .. "/")
      conf = conf:gsub('listen "127%.0%.0%.1:%d+"', 'listen "127.0.0.1:0"'):gsub("nats://127%.0%.0%.1:4222", server.url)
      local gw = gateway.start { config = conf }
      gw:wait_for_log "bus: connected"
      streams[name] = client.connect(gw.address):open(hosts.chat)
      assert.is_table(streams[name]:headers())
    end
    assert.is_truthy(process.await(gateway.patience, function()
      streams.a:send { sender = "ann", message = "hello" }
      return streams.b:receive_until(function(message) return message.sender == "ann" end, 0.1)
    end))
  end)
end)
