-- Two gateways on machines of their own, of which one cannot reach the other.
local gateway = require "support.gateway"
local network = require "support.network"
local nodes = require "support.nodes"
local process = require "support.process"

local quick = "linger = 100ms  backoff = 50ms  backoff_most = 200ms  connect_timeout = 2s  "

describe("two gateways, one of which cannot dial the other,", function()
  after_each(function()
    gateway.stop_all()
    network.close_all()
  end)

  -- `how` makes it impossible for b, where it believes a to be.
  local function check(how, options)
    local net, why = network.open()
    if not net then
      print("NOT TRIED: network namespaces cannot be made here: " .. why)
      return
    end
    local believed = how(net)
    local function address(one) return one.address .. ":7000" end
    local a = nodes.start("a", "b", address(net.b), { before = net.a.before, address = address(net.a),
      peer = quick .. (options and options.a or "") })
    local b = nodes.start("b", "a", believed and believed .. ":7000", { before = net.b.before,
      address = address(net.b), peer = quick })
    for round = 1, 5 do
      -- b first, since for it somebody else has to dial.
      local from_b, from_a = b:talk(), a:talk()
      from_b:tell "open"
      assert.is_true(b:await_counts(function(counts) return counts.waiting + counts.streams > 0 end))
      from_a:tell "open"
      assert.equal("b to a: hello", from_a:hear(), "round " .. round)
      assert.equal("a to b: hello", from_b:hear(), "round " .. round)
      assert.is_true(process.await(gateway.patience, function() return net:connections(net.a) == 1 end))
      assert.is_true(process.await(gateway.patience, function() return net:connections(net.b) == 1 end))
      assert.equal("b to a: again", from_a:ask "say again")
      assert.equal("a to b: again", from_b:ask "say again")
      assert.equal("1 OK", from_a:ask "close")
      assert.equal("1 OK", from_b:ask "close")
      if not options then
        assert.is_true(process.await(gateway.patience, function() return net:connections(net.a) == 0 end))
      end
    end
    assert.is_true(a:counts().dials > 0)
    assert.equal(0, a:counts().accepted)
  end

  it("because it gets no answer, share the one connection that can be made", function()
    check(function(net)
      net:ip(net.b, "neigh add 10.77.0.9 lladdr 02:00:00:00:00:09 dev eth0") -- frames go to nobody
      return "10.77.0.9"
    end)
  end)

  it("because it is refused, do the same", function()
    check(function() return "127.0.0.1" end) -- nobody listens there, on b's own loopback
  end)

  it("because there is no way, do the same", function()
    check(function(net)
      net:ip(net.b, "route add unreachable 10.78.0.1")
      return "10.78.0.1"
    end)
  end)

  it("because it does not know where it is, do the same", function()
    check(function() return nil end)
  end)

  it("and the other always keeps a connection, need not wait", function()
    check(function() return nil end, { a = "connect = always" })
  end)
end)
