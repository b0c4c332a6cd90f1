local gateway = require "support.gateway"
local client = require "support.client"
local foreign = require "support.foreign"

-- A gateway with this filter between grpcio's client and grpcio's server.
local function start(script, more)
  local address = foreign.start()
  local gw = gateway.start {
    scripts = { ["filter.lua"] = script },
    config = ([[
proto = { "interop.proto" }
upstream behind { target = { "%s" } }
service "interop.Interop" { script = "filter.lua"  upstream = "behind" }
]]):format(address) .. (more or ""),
  }
  return gw, client.connect(gw.address)
end

local function numbers(messages)
  local list = {}
  for i, message in ipairs(messages) do list[i] = message.number or 0 end
  return list
end

-- What EchoStream gives back for these numbers.
local function exchange(channel, list, options)
  local messages = {}
  for i, number in ipairs(list) do messages[i] = { number = number } end
  local replies, status = channel:exchange("interop.Interop/EchoStream", messages, options or client.soon)
  return numbers(replies), status
end

local echo = "interop.Interop/Echo"
local echo_stream = "interop.Interop/EchoStream"

describe("a filter", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  it("passes on what its hooks leave alone", function()
    local gw, channel = start [[
local tidewire = require "tidewire"
return { EchoStream = {
  on_request = function(_, m) local _ = m.number end,
  on_response = function(_, m) return m end,
  on_close = function(_, code) tidewire.log.info("closed " .. code) end,
} }
]]
    local replies, status = exchange(channel, { 1, 0, 3 })
    assert.same({ 1, 0, 3 }, replies)
    assert.equal("OK", status.code)
    gw:wait_for_log "closed OK"
    assert.equal(7, channel:call(echo, { number = 7 }, client.soon).message.number) -- has no entry
  end)

  it("changes requests and responses", function()
    local _, channel = start [[
return { EchoStream = {
  on_request = function(_, m) m.number = m.number + 1 end,
  on_response = function(_, m) return { number = m.number * 10 } end,
} }
]]
    assert.same({ 20, 30 }, (exchange(channel, { 1, 2 })))
  end)

  it("drops what a hook returns false or DROP for, and passes on each message of a list", function()
    local _, channel = start [[
local tidewire = require "tidewire"
return { EchoStream = {
  on_request = function(_, m)
    if m.number == 1 then return false end
    if m.number == 2 then return tidewire.DROP end
    if m.number == 3 then return { { number = 31 }, m, false, { number = 32 } } end
    if m.number == 4 then return {} end
  end,
} }
]]
    assert.same({ 31, 3, 32, 0, 5 }, (exchange(channel, { 1, 2, 3, 4, 5 })))
  end)

  it("stops the direction whose hook waits, in order, and not the other", function()
    local _, channel = start([[
local tidewire = require "tidewire"
local is_open = false
return {
  Echo = { on_request = function() is_open = true end },
  EchoStream = {
    on_request = function(stream, m)
      if m.number == 2 then
        stream:send { number = 100 }
        while not is_open do tidewire.sleep(0.01) end
      end
    end,
    on_response = function(_, m) m.number = m.number * 10 end,
  },
}
]], "workers = 1")
    local stream = channel:open(echo_stream, client.soon)
    stream:send { number = 1 }
    assert.equal(10, stream:receive().number)
    stream:send { number = 2 }
    stream:send { number = 3 }
    assert.equal(100, stream:receive().number) -- what a script sends itself goes to the client as it is
    local _, why = stream:receive(0.3)
    assert.equal("timeout", why)
    channel:call(echo, {}, client.soon)
    assert.equal(20, stream:receive().number)
    assert.equal(30, stream:receive().number)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("passes headers, trailers, status and details of the upstream on", function()
    local _, channel = start [[ return { ["*"] = { on_request = function() end, on_response = function() end } } ]]
    local reply = channel:call(echo, { number = 5 }, { metadata = { ["x-echo"] = "head", ["x-echo-bin"] = "tail" } })
    assert.same({ "head" }, reply.headers["x-echo"])
    assert.truthy(reply.trailers["x-echo-bin"])
    reply = channel:call("interop.Interop/Fail", { code = "ABORTED", text = "no!", reason = "WHY" }, client.soon)
    assert.same({ "ABORTED", "no!" }, { reply.code, reply.text })
    assert.equal("WHY", reply.details.list[1].message.reason)
  end)

  it("ends a call whose one request or reply it drops FAILED_PRECONDITION, unless it says otherwise", function()
    local _, channel = start [[
local tidewire = require "tidewire"
return { Echo = {
  on_request = function(_, m)
    if m.number == 1 then return false end
    if m.number == 2 then tidewire.fail("NOT_FOUND", "nothing here") end
    if m.number == 4 then return { { number = 1 }, { number = 2 } } end
    if m.number == 5 then error "oops" end
    if m.number == 6 then return { wrong = 1 } end
  end,
  on_response = function(_, m) if m.number == 3 then return tidewire.DROP end end,
} }
]]
    local function call(number)
      local reply = channel:call(echo, { number = number }, client.soon)
      return { reply.code, reply.text }
    end
    assert.same({ "FAILED_PRECONDITION", "the request was dropped" }, call(1))
    assert.same({ "NOT_FOUND", "nothing here" }, call(2))
    assert.same({ "FAILED_PRECONDITION", "the reply was dropped" }, call(3))
    for number = 4, 6 do assert.same({ "INTERNAL", "the handler failed" }, call(number)) end
    assert.equal("OK", call(7)[1])
  end)

  it("cancels upstream when the client cancels, and the client's wait when a script ends the call", function()
    local gw, channel = start [[
local tidewire = require "tidewire"
return { Wait = {
  on_response = function(stream, m)
    if m.number == 1 then stream:close("ABORTED", "enough") end
    if m.number == 2 then pcall(tidewire.sleep, 3600); tidewire.log.info "woken" end
  end,
} }
]]
    local stream = channel:open("interop.Interop/Wait", client.soon)
    stream:send { number = 3 }
    stream:half_close()
    assert.equal(3, stream:receive().number)
    stream:cancel()
    assert.equal("a call of Wait has ended", foreign.read_line())
    stream = channel:open("interop.Interop/Wait", client.soon)
    stream:send { number = 1 }
    stream:half_close()
    assert.equal("enough", stream:status().text)
    assert.equal("a call of Wait has ended", foreign.read_line())
    stream = channel:open("interop.Interop/Wait", client.brief)
    stream:send { number = 2 }
    stream:half_close()
    assert.equal("DEADLINE_EXCEEDED", stream:status().code)
    assert.equal("a call of Wait has ended", foreign.read_line())
    gw:wait_for_log "woken"
  end)
end)

describe("several scripts", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function start_chain(first, second)
    local gw = gateway.start {
      scripts = { ["first.lua"] = first, ["second.lua"] = second },
      config = ([[
proto = { "interop.proto" }
upstream behind { target = { "%s" } }
service "interop.Interop" { script = { "first.lua", "second.lua" }  upstream = "behind" }
]]):format(foreign.start()),
    }
    return gw, client.connect(gw.address)
  end

  local function appending(digit)
    return ([[
local tidewire = require "tidewire"
local function append(stream, m)
  stream.ctx.seen = (stream.ctx.seen or 0) + 1
  m.number = m.number * 10 + %d
end
return { EchoStream = {
  on_open = function(stream) stream.ctx.name = "%d" end,
  on_request = append,
  on_response = append,
  on_half_close = function(stream) return { number = %d0 } end,
  on_close = function(stream, code)
    tidewire.log.info("script " .. stream.ctx.name .. " has seen " .. stream.ctx.seen .. " " .. code)
  end,
} }
]]):format(digit, digit, digit)
  end

  it("filter in order, responses the other way round, each with its own ctx", function()
    local gw, channel = start_chain(appending(1), appending(2))
    -- 7 → 71 → 712, and back 7122 → 71221; what half-closes add begins behind the script that did
    assert.same({ 71221, 10221, 2021 }, (exchange(channel, { 7 })))
    gw:wait_for_log "script 1 has seen 4 OK"
    gw:wait_for_log "script 2 has seen 5 OK"
  end)

  it("hand tables, lists and bytes from one to the other", function()
    local _, channel = start_chain([[
local tidewire = require "tidewire"
return { EchoStream = {
  on_request = function(_, m)
    tidewire.sleep(0.001)
    return { { number = m.number }, tidewire.DROP, m, { number = m.number + 2 } }
  end,
  on_response = tidewire.project({ fields = { "number" }, patch = { "number" } }, function(_, number)
    tidewire.sleep(0.001)
    if number > 100 then return -number end
  end),
} }
]], [[
local tidewire = require "tidewire"
return { EchoStream = {
  on_request = tidewire.project({ fields = { "number" }, patch = { "number" } }, function(_, number)
    if number == 3 then tidewire.sleep(0.001) end
    if number == 4 then return tidewire.DROP end
    return number * 50
  end),
  on_response = function(_, m) tidewire.sleep(0.001); assert(m.number) end,
} }
]])
    assert.same({ 50, 50, -150, 100, 100, -150, -150, -250 }, (exchange(channel, { 1, 2, 3 })))
  end)

  it("end together, and the upstream hears of nothing that one of them has refused", function()
    local _, channel = start_chain([[
return { ["*"] = { on_open = function() end } }
]], [[
local tidewire = require "tidewire"
return { ["*"] = { on_open = function(stream)
  tidewire.sleep(0.001)
  if stream:metadata "x-no" then stream:close("ABORTED", "no") end
end } }
]])
    assert.equal("OK", channel:call(echo, { number = 1 }, client.soon).code)
    local no = { metadata = { ["x-no"] = "1" }, timeout = gateway.patience }
    assert.equal("ABORTED", channel:call(echo, { number = 1 }, no).code)
  end)
end)

-- The gateway behind answers with the metadata that it has seen, and says so in its log.
local behind = [[
local tidewire = require "tidewire"
local greet = {}
function greet.Greet(stream, request)
  tidewire.log.info("asked by " .. request.name)
  local all = stream:metadata_all(request.name)
  stream:set_header("x-from", "upstream")
  stream:set_header("x-other", "upstream")
  return { greeting = table.concat(all, "|") }
end
function greet.GreetStream(stream)
  tidewire.log.info "streaming"
  for m in stream:messages() do stream:send { greeting = m.name } end
end
return greet
]]

local function start_two(script, more)
  local server = gateway.start { scripts = { ["behind.lua"] = behind },
    config = 'service "greet.GreetService" { script = "behind.lua" }' }
  local gw = gateway.start {
    scripts = { ["filter.lua"] = script },
    config = ([[
upstream one { target = { "%s" } }
upstream nowhere { target = { "127.0.0.1:1" } }
service "greet.GreetService" { script = "filter.lua"  upstream = "one" }
]]):format(server.address) .. (more or ""),
  }
  return gw, client.connect(gw.address), server
end

describe("before the upstream is asked, a filter", function()
  after_each(gateway.stop_all)

  it("refuses calls, of which it never hears", function()
    local _, channel, server = start_two [[
local tidewire = require "tidewire"
local function check(stream)
  if stream:metadata "authorization" ~= "Bearer good" then
    stream:spawn(function() end)
    tidewire.sleep(0.01)
    tidewire.fail("UNAUTHENTICATED", "no token")
  end
end
return {
  ["*"] = { on_open = check },
  Greet = {
    on_open = check,
    on_request = function(_, m) if m.name == "bad" then tidewire.fail "PERMISSION_DENIED" end end,
  },
}
]]
    local good = { metadata = { authorization = "Bearer good" }, timeout = gateway.patience }
    assert.equal("UNAUTHENTICATED", channel:call("greet.GreetService/Greet", { name = "no" }, client.soon).code)
    assert.equal("UNAUTHENTICATED", channel:open("greet.GreetService/GreetStream", client.soon):status().code)
    assert.equal("PERMISSION_DENIED", channel:call("greet.GreetService/Greet", { name = "bad" }, good).code)
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "good" }, good).code)
    server:wait_for_log "asked by good"
    assert.equal(1, server:count_in_log "asked by")
    assert.equal(0, server:count_in_log "streaming")
  end)

  it("edits the metadata, which starts as the client's", function()
    local gw, channel = start_two [[
local tidewire = require "tidewire"
return { Greet = {
  on_open = function(stream)
    stream.upstream:set_header("x-set", "new")
    stream.upstream:add_header("x-add", "two")
    stream.upstream:remove_header("x-remove")
    stream:set_header("x-from", "filter")
    stream.ctx.upstream = stream.upstream
    tidewire.log.info(select(2, pcall(stream.hold_headers, stream)))
  end,
  on_response = function(stream)
    assert(stream.upstream == stream.ctx.upstream)
    tidewire.log.info(select(2, pcall(stream.upstream.set_header, stream.upstream, "x-set", "late")))
  end,
} }
]]
    local metadata = { ["x-set"] = "old", ["x-add"] = "one", ["x-remove"] = "gone", ["x-kept"] = { "1", "2" },
      ["x-kept-bin"] = "data" }
    local function seen(name)
      return channel:call("greet.GreetService/Greet", { name = name },
        { metadata = metadata, timeout = gateway.patience })
    end
    assert.equal("new", seen("x-set").message.greeting)
    assert.equal("one|two", seen("x-add").message.greeting)
    assert.same({}, seen("x-remove").message)
    assert.equal("1|2", seen("x-kept").message.greeting)
    local headers = seen("x-kept-bin").headers
    assert.same({ { "filter" }, { "upstream" } }, { headers["x-from"], headers["x-other"] })
    gw:wait_for_log "the metadata has left for the upstream"
    gw:wait_for_log "the headers of this stream leave when its upstream's have come"
  end)

  it("may be a function instead, that has the upstream as stream.upstream", function()
    local _, channel = start_two [[
return { GreetStream = function(stream)
  for m in stream:messages() do
    stream.upstream:send(m)
    stream:send { greeting = stream.upstream:recv().greeting .. "!" }
  end
end }
]]
    local replies, status = channel:exchange("greet.GreetService/GreetStream", { { name = "ann" } }, client.soon)
    assert.same({ { greeting = "ann!" } }, replies)
    assert.equal("OK", status.code)
  end)

  it("chooses another upstream", function()
    local gw, channel = start_two [[
local tidewire = require "tidewire"
return { Greet = { on_open = function(stream)
  local name = stream:metadata "x-to"
  if name then stream:set_upstream(name) end
end } }
]]
    local function call(to)
      return channel:call("greet.GreetService/Greet", { name = "x" },
        { metadata = { ["x-to"] = to }, timeout = gateway.patience })
    end
    assert.equal("OK", call().code)
    assert.equal("OK", call("one").code)
    assert.equal("UNAVAILABLE", call("nowhere").code)
    assert.equal("INTERNAL", call("now-here").code)
    gw:wait_for_log 'the config has no upstream "now-here" (did you mean "nowhere"?)'
  end)
end)

describe("a script before an upstream is refused", function()
  after_each(gateway.stop_all)

  local function refusal(script, upstream)
    local gw = gateway.prepare { scripts = { ["f.lua"] = script }, config = ([[
upstream one { target = { "127.0.0.1:1" } }
service "greet.GreetService" { script = "f.lua" %s }
]]):format(upstream or 'upstream = "one"') }
    local _, output = gateway.run { "check", "-c", gw:path "tidewire.conf" }
    return output
  end

  it("when its hooks are not for that", function()
    assert.match("Greet: the service has an upstream: its messages go to on_request",
      refusal "return { Greet = { on_message = function() end } }", 1, true)
    assert.match("Greet: run and the filters on_request and on_response exclude each other",
      refusal "return { Greet = { run = function() end, on_request = function() end } }", 1, true)
    assert.match("f.lua:1: error: Greet: on_request and on_response are filters before an upstream",
      refusal("return { Greet = { on_request = function() end } }", ""), 1, true)
    assert.match("a filter changes the message: its projection has `patch`, not `reply`", refusal [[
local project = require "tidewire".project
return { Greet = { on_request = project({ fields = { "name" }, reply = { "greeting" } }, print) } }
]], 1, true)
  end)
end)
