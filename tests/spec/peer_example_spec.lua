-- etc/peer-a.conf and etc/peer-b.conf, with scripts/peer.lua: one chat room on two gateways.
local client = require "support.client"
local gateway = require "support.gateway"
local process = require "support.process"
local relay = require "support.relay"

local function read(path)
  local file = assert(io.open(gateway.root .. "/" .. path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("etc/peer-a.conf and etc/peer-b.conf", function()
  after_each(gateway.stop_all)

  it("are fine as they are", function()
    for _, name in ipairs { "a", "b" } do
      local code, output = gateway.run { "check", "-c", gateway.root .. "/etc/peer-" .. name .. ".conf" }
      assert.equal(0, code, output)
    end
  end)

  it("meet: each dials where the other listens, and expects whom the other is", function()
    local a, b = read "etc/peer-a.conf", read "etc/peer-b.conf"
    for _, pair in ipairs { { a, b }, { b, a } } do
      local id, address = pair[1]:match 'peer (%w+) { address = "([^"]+)" }'
      assert.is_truthy(pair[2]:find('node = "' .. id .. '"', 1, true))
      assert.is_truthy(pair[2]:find('listen "' .. address .. '"  { peers = on }', 1, true))
    end
  end)

  -- With free ports, and linger short; each is found through a relay.
  local function start()
    local ways = { ["7001"] = relay.open(), ["7002"] = relay.open() }
    local function run(name, port)
      local conf = read("etc/peer-" .. name .. ".conf"):gsub('"%.%./', '"' .. gateway.root .. "/")
      conf = conf:gsub('listen "127%.0%.0%.1:5%d+"', 'listen "127.0.0.1:0"')
      conf = conf:gsub('listen "127%.0%.0%.1:7%d+"', 'listen "127.0.0.2:0"')
      conf = conf:gsub('"127%.0%.0%.1:(700%d)" }', function(n)
        return '"' .. ways[n].address .. '"  linger = 100ms }'
      end)
      local gw = gateway.start { config = conf }
      ways[port]:set { to = gw.addresses[2] }
      return gw
    end
    local a, b = run("a", "7001"), run("b", "7002")
    return a, b, function() return ways["7001"]:state().alive + ways["7002"]:state().alive end
  end

  local function enter(gw)
    local stream = client.connect(gw.address):open "chat.ChatService/Chat"
    stream:headers()
    return stream
  end

  local function hears(stream, sender, text)
    local message = stream:receive()
    assert.same({ sender, text }, { message and message.sender, message and message.message })
  end

  it("are one room: what is said on one, those on both hear, over one connection that goes with the last", function()
    local a, b, connections = start()
    local ann, bob, eve = enter(a), enter(b), enter(b)
    ann:send { sender = "ann", message = "hello" }
    hears(ann, "ann", "hello")
    hears(bob, "ann@a", "hello")
    hears(eve, "ann@a", "hello")
    bob:send { sender = "bob", message = "hi" }
    hears(ann, "bob@b", "hi")
    hears(bob, "bob", "hi")
    hears(eve, "bob", "hi")
    assert.equal(1, connections())
    for _, one in ipairs { ann, bob, eve } do
      one:half_close()
      assert.equal("OK", one:status().code)
    end
    assert.is_true(process.await(gateway.patience, function() return connections() == 0 end))
  end)

  it("lose nothing that is said just before a client goes", function()
    local a, b = start()
    local bob = enter(b)
    for i = 1, 20 do
      local ann = client.connect(a.address):open "chat.ChatService/Chat"
      ann:send { sender = "ann", message = "bye " .. i }
      ann:half_close()
      hears(bob, "ann@a", "bye " .. i)
      hears(ann, "ann", "bye " .. i)
      assert.equal("OK", ann:status().code)
    end
  end)

  it("go on when one has been away", function()
    local a, b = start()
    local ann, bob = enter(a), enter(b)
    ann:send { sender = "ann", message = "one" }
    hears(ann, "ann", "one")
    hears(bob, "ann@a", "one")
    assert.equal(2, b:reload())
    bob:cancel()
    bob = enter(b)
    ann:send { sender = "ann", message = "two" }
    hears(ann, "ann", "two")
    hears(bob, "ann@a", "two")
  end)
end)
