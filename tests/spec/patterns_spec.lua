-- What scripts do with streams that they open: join, split, mirror, fan in, race. Examples of some are in scripts/.
local client = require "support.client"
local gateway = require "support.gateway"

local bidi = "greet.GreetService/GreetStream"

-- The upstreams: each says its own name before what it answers, and never answers those called "slow".
local named = [[
local tidewire = require "tidewire"
local greet = {}
local function ended(stream, code) tidewire.log.info(stream.method .. " ended " .. code) end
function greet.GreetStream(stream)
  stream:on_close(ended)
  for message in stream:messages() do
    tidewire.log.info("asked for " .. message.name)
    if message.name == "slow" then stream:wait() end
    if message.name == "fail" then tidewire.fail("ABORTED", "told to") end
    stream:send { greeting = "%s " .. message.name }
  end
end
function greet.GreetServerStream(stream, request)
  stream:on_close(ended)
  for i = 1, 3 do stream:send { greeting = "%s " .. request.name .. i } end
end
function greet.Greet(stream, request)
  stream:on_close(ended)
  tidewire.log.info("asked for " .. request.name)
  if request.name == "slow" then stream:wait() end
  return { greeting = "%s " .. request.name }
end
return greet
]]

local function start_named(name)
  return gateway.start { scripts = { ["up.lua"] = named:gsub("%%s", name) },
    config = 'workers = 1\ndrain_timeout = 50ms\nservice "greet.GreetService" { script = "up.lua" }' }
end

describe("a script", function()
  after_each(gateway.stop_all)

  -- Between clients and the upstreams `a` and `b`.
  local function start(script, more)
    local a, b = start_named "a", start_named "b"
    local gw = gateway.start { scripts = { ["front.lua"] = 'local tidewire = require "tidewire"\n' .. script },
      config = ('workers = 1\nupstream "a" { target = "%s" }\nupstream "b" { target = "%s" }\n'):format(a.address,
        b.address) .. ('service "greet.GreetService" { script = "front.lua" %s }\n'):format(more or "") }
    return client.connect(gw.address), gw, a, b
  end

  local function greetings(messages)
    local list = {}
    for i, message in ipairs(messages) do list[i] = message.greeting end
    return list
  end

  it("joins two streams into one, each in its order", function()
    local channel = start [[
return { GreetServerStream = function(stream, request)
  local left = 2
  local function pass(_, name)
    local up = tidewire.open(name, "greet.GreetService/GreetServerStream")
    up:send(request)
    for message in up:messages() do stream:send(message) end
    left = left - 1
    if left == 0 then stream:close(up:status()) end
  end
  stream:spawn(pass, "a")
  stream:spawn(pass, "b")
  stream:wait()
end }
]]
    local replies, status = channel:exchange("greet.GreetService/GreetServerStream", { { name = "x" } }, client.soon)
    local by_name = { a = {}, b = {} }
    for _, greeting in ipairs(greetings(replies)) do
      local list = by_name[greeting:sub(1, 1)]
      list[#list + 1] = greeting
    end
    assert.same({ a = { "a x1", "a x2", "a x3" }, b = { "b x1", "b x2", "b x3" } }, by_name)
    assert.equal("OK", status.code)
  end)

  it("splits a stream by message, and mirrors it", function()
    local channel, _, a, b = start [[
return { GreetStream = function(stream)
  local ups = {}
  for _, name in ipairs { "a", "b" } do
    ups[name] = tidewire.open(name, "greet.GreetService/GreetStream")
    stream:spawn(function()
      for message in ups[name]:messages() do stream:send(message) end
    end)
  end
  for message in stream:messages() do
    local to = message.name:sub(1, 1)
    if to == "a" or to == "*" then ups.a:send(message) end
    if to == "b" or to == "*" then ups.b:send(message) end
  end
  for _, up in pairs(ups) do up:half_close() end
  for _, up in pairs(ups) do up:status() end
end }
]]
    local replies, status = channel:exchange(bidi,
      { { name = "a1" }, { name = "b2" }, { name = "*3" }, { name = "none" } }, client.soon)
    local got = greetings(replies)
    table.sort(got)
    assert.same({ "a *3", "a a1", "b *3", "b b2" }, got)
    assert.equal("OK", status.code)
    a:wait_for_log "GreetStream ended OK"
    b:wait_for_log "GreetStream ended OK"
  end)

  it("fans many clients' streams in to one upstream stream, and answers back out to each", function()
    local channel, gw, a = start [[
local shared
local waiting = {} -- who asked, in the order of the questions

local function open()
  shared = tidewire.open("a", "greet.GreetService/GreetStream", { detached = true })
  tidewire.spawn(function()
    for message in shared:messages() do table.remove(waiting, 1):send(message) end
  end, { serve = true })
end

return { GreetStream = {
  on_open = function() if not shared then open() end end,
  on_message = function(stream, message)
    waiting[#waiting + 1] = stream
    shared:send(message)
  end,
}, Greet = function()
  local a = tidewire.upstreams().a
  return { greeting = a.calls .. " call, " .. a.streams .. " stream, " .. a.connections .. " connection" }
end }
]]
    local streams = channel:open_many(40, bidi, client.soon)
    for round = 1, 5 do
      for i, stream in ipairs(streams) do stream:send { name = round .. "/" .. i } end
      for i, stream in ipairs(streams) do
        assert.equal(("a %d/%d"):format(round, i), assert(stream:receive()).greeting)
      end
    end
    assert.equal("1 call, 1 stream, 1 connection",
      channel:call("greet.GreetService/Greet", { name = "x" }, client.soon).message.greeting)
    streams[1]:cancel() -- one that goes takes nothing from the others
    gw:wait_for_log "status=CANCELLED"
    streams[2]:send { name = "last" }
    assert.equal("a last", assert(streams[2]:receive()).greeting)
    for i = 2, #streams do streams[i]:half_close() end
    for i = 2, #streams do assert.equal("OK", streams[i]:status().code) end
    assert.is_false(a:said "GreetStream ended")
  end)

  it("races two streams: the first answer counts, the loser is cancelled", function()
    local channel, gw, a, b = start [[
return { Greet = function(stream, request)
  local first
  local ups = {}
  for _, name in ipairs { "b", "a" } do
    ups[name] = tidewire.open(name, "greet.GreetService/GreetStream")
    stream:spawn(function()
      ups[name]:send { name = name == "a" and request.name or "slow" }
      local reply = ups[name]:recv()
      first = first or reply
    end)
    ups[name]:headers() -- both have begun
  end
  while not first do tidewire.sleep(0.001) end
  for _, up in pairs(ups) do up:cancel() end
  return { greeting = first.greeting }
end, GreetStream = function(stream)
  for _ in stream:messages() do
    local counts = tidewire.upstreams()
    stream:send { greeting = counts.a.streams + counts.b.streams .. " left" }
  end
end }
]]
    for i = 1, 5 do
      local mark = b:mark()
      assert.equal("a number " .. i, channel:call("greet.GreetService/Greet", { name = "number " .. i },
        client.soon).message.greeting)
      b:wait_for_log("GreetStream ended CANCELLED", mark)
    end
    a:wait_for_log "asked for number 5"
    assert.same({ "0 left" }, greetings((channel:exchange(bidi, { { name = "x" } }, client.soon))))
    assert.is_false(gw:said " error")
  end)

  it("opens streams and calls inside of filter hooks, which wait for them in order", function()
    local channel, _, _, b = start([[
return { GreetStream = {
  on_open = function(stream)
    stream.ctx.audit = tidewire.open("b", "greet.GreetService/GreetStream")
  end,
  on_request = function(stream, message)
    stream.ctx.audit:send(message)
    message.name = message.name .. " (" .. stream.ctx.audit:recv().greeting .. ")"
  end,
  on_response = function(_, message)
    return { greeting = message.greeting .. " [" .. tidewire.call("b", "greet.GreetService/Greet",
      { name = "checked" }).greeting .. "]" }
  end,
} }
]], 'upstream = "a"')
    local stream = channel:open(bidi, client.soon)
    for i = 1, 10 do stream:send { name = tostring(i) } end
    for i = 1, 10 do
      assert.equal(("a %d (b %d) [b checked]"):format(i, i), assert(stream:receive()).greeting)
    end
    assert.is_false(b:said "GreetStream ended")
    stream:half_close()
    assert.equal("OK", stream:status().code)
    b:wait_for_log "GreetStream ended CANCELLED" -- what a hook has opened ends with the call
  end)

  it("takes what its hooks have opened along when the client cancels", function()
    local channel, _, a, b = start([[
return { GreetStream = {
  on_request = function(stream, message)
    local up = tidewire.open("b", "greet.GreetService/GreetStream")
    up:send { name = "opened" }
    up:recv()
    if message.name == "call" then tidewire.call("b", "greet.GreetService/Greet", { name = "slow" }) end
    if message.name == "stream" then up:send { name = "slow" } up:recv() end
  end,
} }
]], 'upstream = "a"')
    for _, name in ipairs { "call", "stream", "idle" } do
      local mark_a, mark_b = a:mark(), b:mark()
      local stream = channel:open(bidi, client.soon)
      stream:send { name = "first" }
      assert.equal("a first", assert(stream:receive()).greeting)
      stream:send { name = name }
      if name == "idle" then assert.equal("a idle", assert(stream:receive()).greeting)
      else b:wait_for_log("asked for slow", mark_b) end
      stream:cancel()
      a:wait_for_log("GreetStream ended CANCELLED", mark_a)
      b:wait_for_log("GreetStream ended CANCELLED", mark_b)
      if name == "call" then b:wait_for_log("Greet ended CANCELLED", mark_b) end
    end
  end)

  it("hears that one of its upstreams has failed, and goes on with the other", function()
    local channel = start [[
return { GreetStream = function(stream)
  local a = tidewire.open("a", "greet.GreetService/GreetStream")
  local b = tidewire.open("b", "greet.GreetService/GreetStream")
  for message in stream:messages() do
    a:send(message)
    local answer = a:recv()
    if not answer then
      local code, text = a:status()
      stream:send { greeting = code .. " " .. text }
      b:send { name = "instead" }
      answer = b:recv()
    end
    stream:send(answer)
  end
end }
]]
    local replies, status = channel:exchange(bidi, { { name = "1" }, { name = "fail" } }, client.soon)
    assert.same({ "a 1", "ABORTED told to", "b instead" }, greetings(replies))
    assert.equal("OK", status.code)
  end)
end)
