local gateway = require "support.gateway"
local client = require "support.client"
local certificates = require "support.certificates"
local nats = require "support.nats"
local process = require "support.process"

local chat = "chat.ChatService/Chat"

describe("the bus", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  local room = [[
    local tidewire = require "tidewire"
    local room = tidewire.topic("room, *.>", { type = "chat.ChatMessage" })
    return { Chat = {
      on_open = function(stream) room:subscribe(stream) end,
      on_message = function(_, message) room:publish(message) end,
    } }
  ]]

  local function serve(server, bus, script, config)
    return gateway.start {
      scripts = { ["chat.lua"] = script or room },
      config = ('bus { url = "%s" reconnect = 50ms %s }\nservice "chat.ChatService" { script = "chat.lua" }\n%s')
        :format(server.url, bus or "", config or ""),
    }
  end

  local function join(gw, metadata)
    local stream = client.connect(gw.address):open(chat, { metadata = metadata })
    assert.is_table(stream:headers())
    return stream
  end

  -- Says something until the other has heard it: from then on the two gateways hear each other.
  local function meet(from, to)
    local heard
    for i = 1, 200 * gateway.slowness do
      from:send { sender = "hello", timestamp = -i }
      heard = to:receive(0.05)
      if heard then break end
    end
    assert(heard, "nothing comes over the bus")
  end

  -- The next message that is no greeting.
  local function next_said(stream)
    return assert(stream:receive_until(function(message) return message.sender ~= "hello" end))
  end

  it("carries what is published, in order for each publisher, both ways, and nothing twice", function()
    local server = nats.start()
    local a, b = serve(server), serve(server)
    a:wait_for_log "bus: connected"
    b:wait_for_log "bus: connected"
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
    a:wait_for_log("bus: the connection is lost", mark, 20)
    ann:send { sender = "ann", timestamp = 2 }
    assert.equal(2, next_said(amy).timestamp)
    server:go_on()
    a:wait_for_log("bus: connected", mark, 20)
    meet(ann, bob)
  end)

  local counting = [[
    local tidewire = require "tidewire"
    local room = tidewire.topic("room", { type = "chat.ChatMessage" })
    return { Chat = {
      on_open = function(stream) room:subscribe(stream, { filter = { sender = "ann" } }) end,
      on_message = function(_, message)
        if message.message ~= "figures" then room:publish(message) return end
        local bus = tidewire.bus()
        return { message = tidewire.json.encode(bus), timestamp = room:count() }
      end,
    } }
  ]]

  local function figures(stream)
    stream:send { message = "figures" }
    return require("cjson").decode(assert(stream:receive()).message)
  end

  it("drops and counts whatever is no message of the topic's", function()
    local server = nats.start()
    local a = serve(server, "messages = 1000", counting)
    a:wait_for_log "bus: connected"
    local ann = join(a)
    local foreign = server:connect()
    local subject, bytes = "tidewire.m.room", "\10\3ann"
    local headers = { "Tidewire-Type: chat.ChatMessage", "Tidewire-From: 00000000000000aa", "Tidewire-Sequence: 1" }
    -- Until the subscription is there.
    assert.is_truthy(process.await(10 * gateway.slowness, function()
      foreign:publish(subject, bytes, headers)
      return ann:receive(0.05)
    end))
    foreign:flush()
    while ann:receive(0.2) do end
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
    local after
    assert.is_truthy(process.await(10 * gateway.slowness, function()
      after = figures(ann)
      return after.rejected - before.rejected >= #hostile
    end), "not all are counted")
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
    assert.is_truthy(process.await(20 * gateway.slowness, function()
      local now = figures(ann)
      return now.rejected + now.dropped_in - after.rejected - after.dropped_in >= 10000
    end), "not all are counted")
    assert.is_true(a:count_in_log "bus: rejected" < 20)
  end)

  it("says who it is by a user, or by TLS, and says when that is not believed", function()
    certificates.authority "bus-ca"
    certificates.certificate("bus-server", "bus-ca", "IP:127.0.0.1,DNS:localhost")
    local path = certificates.folder .. "/"
    local server = nats.start {
      scheme = "tls",
      config = ('tls { cert_file: "%sbus-server.pem", key_file: "%sbus-server.key" }\n'):format(path, path) ..
        "authorization { user: gate, password: 'pass word' }",
    }
    local tls = (' tls { ca = "%sbus-ca.pem" }'):format(path)
    local right = ' user = gate password = "pass word"' .. tls
    local a, b = serve(server, right), serve(server, right)
    a:wait_for_log "bus: connected to tls://127.0.0.1"
    b:wait_for_log "bus: connected to tls://127.0.0.1"
    local ann, bob = join(a), join(b)
    meet(ann, bob)
    local wrong = serve(server, ' user = gate password = wrong' .. tls)
    assert.is_truthy(wrong:wait_for_log("bus: cannot connect"):lower():find "authorization violation")
    certificates.authority "other-ca"
    local stranger = serve(server, (' user = gate password = "pass word" tls { ca = "%sother-ca.pem" }'):format(path))
    assert.is_truthy(stranger:wait_for_log("bus: cannot connect"):lower():find "ssl")
    assert.is_nil(wrong:log():find("pass word", 1, true))
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
    local service = '\nservice "chat.ChatService" { script = "chat.lua" }'
    talk()
    local mark = a:mark()
    a:configure(('bus { url = "%s" reconnect = 50ms }'):format(one.url) .. service .. "\ndrain_timeout = 9s")
    assert.is_truthy(a:reload())
    talk()
    assert.is_false(a:said("bus:", mark)) -- the same section: nothing happens
    a:configure(('bus { url = "%s" reconnect = 50ms }'):format(two.url) .. service)
    assert.is_truthy(a:reload())
    talk()
    a:wait_for_log("bus: connected to " .. two.url, mark)
    meet(ann, bob)
    a:configure(service)
    assert.is_truthy(a:reload())
    a:wait_for_log("bus: the connection is closed", mark)
    talk()
    while bob:receive(0.1) do end
    talk()
    assert.same({ nil, "timeout" }, { bob:receive(0.3) })
    a:configure(('bus { url = "%s" reconnect = 50ms }'):format(two.url) .. service)
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
      local conf = read(name):gsub('"%.%./', '"' .. gateway.root .. "/"):gsub('listen "127%.0%.0%.1:%d+"', 'listen "127.0.0.1:0"')
      local gw = gateway.start { config = conf:gsub("nats://127%.0%.0%.1:4222", server.url) }
      gw:wait_for_log "bus: connected"
      streams[name] = client.connect(gw.address):open(chat)
      assert.is_table(streams[name]:headers())
    end
    assert.is_truthy(process.await(10 * gateway.slowness, function()
      streams.a:send { sender = "ann", message = "hello" }
      return streams.b:receive_until(function(message) return message.sender == "ann" end, 0.1)
    end))
  end)
end)
