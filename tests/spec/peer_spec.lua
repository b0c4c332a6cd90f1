-- Peers: two gateways of which neither is client or server, over one connection.
local client = require "support.client"
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"
local relay = require "support.relay"

describe("a peer", function()
  after_each(gateway.stop_all)

  local function meets(a, b)
    local from_a, from_b = a:talk(), b:talk()
    assert.equal("b to a: hello", from_a:ask "open")
    assert.equal("a to b: hello", from_b:ask "open")
    for i = 1, 5 do
      assert.equal("b to a: " .. i, from_a:ask("say " .. i))
      assert.equal("a to b: " .. i, from_b:ask("say " .. i))
    end
    return from_a, from_b
  end

  it("is called in both directions over one connection, which goes when nobody needs it", function()
    local a, b = nodes.pair()
    local from_a, from_b = meets(a, b)
    assert.equal(1, nodes.connections(a, b))
    assert.same({ 1, 1 }, { a:counts().connections, b:counts().connections })
    assert.equal("true", a:ask "connected")
    assert.equal("1 OK", from_a:ask "close")
    assert.equal("a to b: on", from_b:ask "say on")
    assert.equal(1, nodes.connections(a, b))
    assert.equal("1 OK", from_b:ask "close")
    assert.is_true(nodes.await_connections(a, b, 0))
    assert.is_true(a:await_counts(function(counts) return not counts.connected and counts.connections == 0 end))
    assert.equal("false", b:ask "connected")
    meets(a, b)
    assert.equal(1, nodes.connections(a, b))
  end)

  it("that cannot be dialled calls, and is called, over the connection that it made", function()
    local a, b = nodes.pair { b = { peer = "connect = always" }, a = { peer = "linger = 100ms" } }
    a.way:shut()
    meets(a, b)
    assert.equal(1, b.way:state().alive)
  end)

  it("without an address is waited for until it comes", function()
    local a = nodes.start("a", "b", nil, { peer = "wait = 5m" })
    local from_a = a:talk()
    from_a:tell "open"
    assert.is_true(a:await_counts(function(counts) return counts.waiting == 1 end))
    local b = nodes.start("b", "a", a.address)
    assert.equal("a to b: hello", b:ask "open")
    assert.equal("b to a: hello", from_a:hear())
  end)

  it("that does not come ends the stream after `wait`, or at its own deadline", function()
    local a = nodes.start("a", "b", nil, { peer = "wait = 200ms" })
    assert.matches("^UNAVAILABLE ", (a:ask "open"))
    assert.matches("^DEADLINE_EXCEEDED ", (a:ask "open 0.05"))
    assert.equal(0, a:counts().waiting)
  end)

  it("is told of: by name, by id, and by where it stands", function()
    local a = nodes.start("a", "b", nil, { scripts = { ["told.lua"] = [[
      local tidewire = require "tidewire"
      local partner = tidewire.peer "partner"
      return { Watch = function(stream)
        local lines = { tostring(partner), partner.name, partner.id, tostring(partner.connected) }
        for _, fine in ipairs {
          { pcall(tidewire.peer, "partnr") }, { pcall(function() return partner.connectd end) },
          { pcall(partner.open, partner, "greet.GreetService/Gret") },
          { pcall(partner.open, partner, "greet.GreetService/Greet", { timeot = 1 }) },
          { pcall(partner.open, "partner") }, { pcall(tidewire.peer) }, { pcall(function() partner.name = "x" end) },
        } do lines[#lines + 1] = fine[2] end
        for _, line in ipairs(lines) do stream:send { symbol = line } end
      end }
    ]] }, more = 'proto = { "prices.proto", "greet.proto", "chat.proto" }\npeer partner { id = "node.7" }\n' ..
      'service "prices.Prices" { script = "told.lua" }' })
    local stream = client.connect("unix:" .. a:path "control.sock"):open "prices.Prices/Watch"
    stream:send {}
    stream:half_close()
    local said = {}
    for _, price in ipairs(stream:receive_all().messages) do said[#said + 1] = price.symbol end
    assert.equal("OK", stream:status().code, a:log())
    local wanted = { "^peer partner$", "^partner$", "^node%.7$", "^false$",
      'the config has no peer "partnr" %(did you mean "partner"%?%)',
      'a peer has no "connectd" %(did you mean "connected"%?%)',
      'greet.GreetService has no method "Gret" %(did you mean "Greet"%?%)',
      'there is no option "timeot" %(did you mean "timeout"%?%): expected peer:open%(', "expected peer:open%(",
      "expected tidewire.peer%(name%)", "peer.name cannot be set" }
    for i, pattern in ipairs(wanted) do assert.matches(pattern, said[i]) end
    assert.equal(#wanted, #said)
  end)

  it("is an upstream, too: calls are passed through to it, and filtered on the way", function()
    local a, b = nodes.pair { a = { more = [[
      proto = { "interop.proto", "chat.proto", "greet.proto" }
      service "interop.Interop" { upstream = "b"  script = "count.lua" }
      service "legacy.*" { upstream = "b" }
    ]], scripts = { ["count.lua"] = [[
      return { EchoStream = { on_request = function(_, m) m.number = m.number + 1 end } }
    ]] } }, b = { more = [[
      proto = { "interop.proto", "chat.proto", "greet.proto" }
      service "interop.Interop" { script = "echo.lua" }
    ]], scripts = { ["echo.lua"] = [[
      return { EchoStream = function(stream)
        stream:set_header("x-node", stream.node or "nobody")
        for m in stream:messages() do stream:send(m) end
      end }
    ]] } } }
    assert.is_truthy(b.address)
    local channel = client.connect("unix:" .. a:path "control.sock")
    local replies, status = channel:exchange("interop.Interop/EchoStream", { { number = 1 }, { number = 5 } })
    assert.same({ { number = 2 }, { number = 6 } }, replies)
    assert.equal("OK", status.code)
    assert.same({ "a" }, status.headers and status.headers["x-node"])
  end)

  it("is reached over unix sockets as well", function()
    local a = nodes.start("a", "b", nil, { address = "unix:peers.sock" })
    local b = nodes.start("b", "a", "unix:" .. a:path "peers.sock")
    assert.equal("a to b: hello", b:talk():ask "open") -- a cannot dial
    meets(a, b)
  end)

  it("that both sides always want is connected before anybody calls, once, and again when that is cut", function()
    local a, b = nodes.pair { peer = "connect = always  backoff = 20ms  backoff_most = 100ms  linger = 0" }
    local function connected(one) return one:await_counts(function(counts) return counts.connected end) end
    assert.is_true(connected(a) and connected(b))
    assert.is_true(nodes.await_connections(a, b, 1))
    local accepted = a:counts().accepted + b:counts().accepted
    a.way:cut()
    b.way:cut()
    assert.is_true(process.await(gateway.patience, function()
      return a:counts().accepted + b:counts().accepted > accepted
    end))
    assert.is_true(connected(a) and connected(b))
    meets(a, b)
    assert.is_true(nodes.await_connections(a, b, 1))
  end)

  it("may have other peers: each two of three share a connection", function()
    local names, ways, started = { "a", "b", "c" }, {}, {}
    local script = [[
      local tidewire = require "tidewire"
      return { Chat = function(stream)
        local said = {}
        for name in pairs(tidewire.peers()) do
          local reply, code, text = tidewire.peer(name):call("greet.GreetService/Greet", { name = "x" })
          said[#said + 1] = reply and reply.greeting or code .. " " .. text
        end
        table.sort(said)
        stream:recv()
        stream:send { message = table.concat(said, ", ") }
      end }
    ]]
    for _, name in ipairs(names) do ways[name] = relay.open() end
    for i, name in ipairs(names) do
      local one, other = names[i % 3 + 1], names[(i + 1) % 3 + 1]
      local more = ('peer "%s" { address = "%s" }\n'):format(other, ways[other].address)
      started[i] = nodes.start(name, one, ways[one].address, { more = more, scripts = { ["control.lua"] = script } })
      ways[name]:set { to = started[i].address }
    end
    local talks = {}
    for i, one in ipairs(started) do talks[i] = one:talk() end
    for _, one in ipairs(talks) do one:tell "go" end
    assert.equal("b to a: x, c to a: x", talks[1]:hear())
    assert.equal("a to b: x, c to b: x", talks[2]:hear())
    assert.equal("a to c: x, b to c: x", talks[3]:hear())
    local function connections()
      local count = 0
      for _, way in pairs(ways) do count = count + way:state().alive end
      return count
    end
    assert.is_true(process.await(gateway.patience, function() return connections() == 3 end))
  end)

  it("of whom several workers open streams, all at once, is dialled once", function()
    local a, b = nodes.pair { workers = 3 }
    a.way:set { forth = 0.05, back = 0.05 }
    local talks, workers = {}, {}
    for i = 1, 12 do
      talks[i] = a:talk()
      workers[talks[i]:ask "worker"] = true
    end
    assert.is_truthy(workers["0"] and workers["1"] and workers["2"])
    for _, one in ipairs(talks) do one:tell "open" end
    for _, one in ipairs(talks) do assert.equal("b to a: hello", one:hear()) end
    assert.equal(1, a.way:state().made)
    assert.equal(1, a:counts().dials)
    for _, one in ipairs(talks) do assert.equal("1 OK", one:ask "close") end
    assert.is_true(nodes.await_connections(a, b, 0))
  end)

  it("says nothing of itself to clients: stream.node is theirs alone who are peers", function()
    local a = nodes.start("a", "b")
    local reply = client.connect(a.address):call("greet.GreetService/Greet", { name = "x" },
      { metadata = { ["tidewire-node"] = "b" } })
    assert.equal("a to a client: x", reply.message.greeting)
  end)
end)
