-- Peers that die, pause, restart, reload and drain: what their streams see of it.
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"

local quick = "linger = 100ms  backoff = 50ms  backoff_most = 200ms  connect_timeout = 2s"

describe("a peer", function()
  after_each(gateway.stop_all)

  -- Both have a stream to the other.
  local function met(options)
    local a, b = nodes.pair(options)
    local from_a, from_b = a:talk(), b:talk()
    assert.equal("b to a: hello", from_a:ask "open")
    assert.equal("a to b: hello", from_b:ask "open")
    assert.equal(1, nodes.connections(a, b))
    return a, b, from_a, from_b
  end

  local function opens_again(one, wanted)
    return process.await(gateway.patience, function() return one:ask "call x" == wanted end)
  end

  for _, killed in ipairs { "a", "b" } do
    it(killed .. " that is killed ends the streams to it UNAVAILABLE; when it is back it is called again", function()
      local a, b = met { peer = quick }
      local dead, alive = a, b
      if killed == "b" then dead, alive = b, a end
      local stream = alive:talk()
      assert.matches("hello$", (stream:ask "open"))
      dead.may_end = "signal 9"
      stream:tell "status"
      dead:signal "KILL"
      assert.matches("^UNAVAILABLE", (stream:hear()))
      assert.equal(killed .. " is gone", dead:wait_exit() == "signal 9" and killed .. " is gone")
      assert.matches("^UNAVAILABLE", (alive:ask "call x 5"):gsub("^DEADLINE_EXCEEDED.*", "UNAVAILABLE (in time)"), nil)
      local back = nodes.start(killed, alive.name, dead.way.address, dead.options)
      alive.way:set { to = back.address }
      assert.is_true(opens_again(alive, killed .. " to " .. alive.name .. ": x"))
      assert.equal(alive.name .. " to " .. killed .. ": x", back:ask "call x")
      assert.is_true(process.await(gateway.patience, function() return nodes.connections(a, b) <= 1 end))
    end)
  end

  it("whose connection is cut loses its streams in both directions, and they open again", function()
    local a, b, from_a, from_b = met { peer = quick }
    from_a:tell "status"
    from_b:tell "status"
    a.way:cut()
    b.way:cut()
    for _, one in ipairs { from_a, from_b } do
      local ended = one:hear()
      assert.matches("^UNAVAILABLE", ended)
      assert.not_matches("cancelled", ended) -- nobody has
    end
    assert.equal("b to a: hello", from_a:ask "open")
    assert.equal("a to b: hello", from_b:ask "open")
    assert.is_true(nodes.await_connections(a, b, 1))
  end)

  it("that is paused is found out by a PING, from either end", function()
    local a, b, from_a = met { peer = quick .. " keepalive { interval = 300ms timeout = 3s }" }
    from_a:tell "status"
    b:signal "STOP"
    assert.matches("^UNAVAILABLE", (from_a:hear()))
    b:signal "CONT"
    assert.equal("b to a: x", a:ask "call x")
    assert.equal("a to b: x", b:ask "call x")
  end)

  it("that was only slow has lost nothing", function()
    local a, b, from_a, from_b = met { peer = quick }
    a.way:hold()
    b.way:hold()
    from_a:tell "say late"
    from_b:tell "say late"
    a.way:release()
    b.way:release()
    assert.equal("b to a: late", from_a:hear())
    assert.equal("a to b: late", from_b:hear())
  end)

  it("keeps its connection and its streams over reloads of both, and new ones come to the new scripts", function()
    local a, b, from_a, from_b = met { peer = quick }
    for _, one in ipairs { a, b } do
      one:write("scripts/greet.lua", ([[
        return { Greet = function(stream, request)
          return { greeting = "new %s to " .. (stream.node or "nobody") .. ": " .. request.name }
        end }
      ]]):format(one.name))
      assert.equal(2, one:reload())
    end
    assert.equal("b to a: old", from_a:ask "say old")
    assert.equal("a to b: old", from_b:ask "say old")
    assert.equal("new b to a: x", a:ask "call x")
    assert.equal("new a to b: x", b:ask "call x")
    assert.equal(1, nodes.connections(a, b))
    assert.equal(1, a.way:state().made + b.way:state().made - b:counts().refused - a:counts().refused)
  end)

  it("that a reload takes out of the config keeps its streams, and is none when they have ended", function()
    local a, b, from_a, from_b = met { peer = quick }
    a:write("scripts/control.lua", "return {}")
    a:configure('node = "a"\nlisten "127.0.0.1:0" { peers = on }\nlisten "unix:control.sock" { }\n'
      .. 'service "greet.GreetService" { script = "greet.lua" }\n')
    assert.equal(2, a:reload())
    assert.equal("b to a: old", from_a:ask "say old")
    assert.equal("a to b: old", from_b:ask "say old")
    assert.equal("1 OK", from_a:ask "close")
    assert.equal("1 OK", from_b:ask "close")
    from_a:finish() -- a stream of the scripts that know b
    assert.is_true(nodes.await_connections(a, b, 0))
    assert.matches("^[%u_]+ ", (b:ask "call x 1"))
    assert(b:await_counts(function(counts) return (counts.error or ""):find "PERMISSION_DENIED" end))
  end)

  for _, leaving in ipairs { "a", "b" } do
    it(leaving .. " that drains finishes the streams of both directions first", function()
      local a, b, from_a, from_b = met { peer = quick }
      local gone = leaving == "a" and a or b
      local to_it, of_it = from_b, from_a
      if leaving == "b" then to_it, of_it = from_a, from_b end
      gone:signal "TERM"
      gone:wait_for_log "drain"
      assert.matches(": still$", (to_it:ask "say still"))
      assert.matches(": still$", (of_it:ask "say still"))
      assert.equal("1 OK", to_it:ask "close")
      assert.equal("1 OK", of_it:ask "close")
      of_it:finish()
      assert.equal(0, gone:wait_exit())
      assert.is_true(nodes.await_connections(a, b, 0))
    end)
  end

  it("that cannot be reached is dialled with backoff, as long as somebody waits", function()
    local a, b = nodes.pair { peer = quick .. " wait = 5m" }
    a.way:shut()
    local one = a:talk()
    one:tell "open"
    assert.is_true(a:await_counts(function(counts) return counts.dial_failures >= 3 end))
    a.way:reopen()
    assert.equal("b to a: hello", one:hear())
    assert.equal("1 OK", one:ask "close")
    assert.is_true(nodes.await_connections(a, b, 0))
    local dials = a:counts().dials
    assert.is_nil(process.await(0.5, function() return a:counts().dials > dials end)) -- for nobody it does not dial
  end)

  it("of which many streams are open has one connection, and when they are gone its memory is back", function()
    local a, b = nodes.pair { workers = 3, peer = quick, more = "log { level = info  access = off }" }
    local talks, workers = {}, {}
    for i = 1, 20 do
      talks[i] = (i % 2 == 0 and a or b):talk()
      if i % 2 == 0 then workers[talks[i]:ask "worker"] = true end
    end
    assert.is_true(workers["0"] and workers["1"] and workers["2"])
    local function round()
      for _, one in ipairs(talks) do one:tell "many 50" end
      for _, one in ipairs(talks) do assert.equal("50", one:hear()) end
      for _, one in ipairs(talks) do one:tell "all" end
      for _, one in ipairs(talks) do assert.equal("50", one:hear()) end
      assert.equal(1, nodes.connections(a, b))
      for _, one in ipairs(talks) do one:tell "close" end
      for _, one in ipairs(talks) do one:hear() end
      assert.is_true(nodes.await_connections(a, b, 0))
    end
    round()
    local memory, descriptors = a:resident_bytes(), a:descriptors()
    for _ = 1, 5 do round() end
    assert.is_true(a:await_counts(function(counts) return counts.streams == 0 and counts.connections == 0 end))
    assert.is_true(process.await(gateway.patience, function() return a:descriptors() <= descriptors end))
    local grown = a:resident_bytes() - memory
    if gateway.slowness == 1 then assert(grown < 8 * 1048576, "it has grown by " .. grown) end
  end)
end)
