-- Every hook of a filter, of the first script and of the second, ends its call in every way; the client and the server
-- end it while a hook waits.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"

local bidi, unary = "greet.GreetService/GreetStream", "greet.GreetService/Greet"

-- Does in one hook of one script what the metadata says.
local script = [[
local tidewire = require "tidewire"

local acts = {
  close = function(stream) stream:close("ABORTED", "told to") end,
  fail = function() tidewire.fail("ABORTED", "told to") end,
  error = function() error "told to" end,
  reset = function(stream) stream:reset() end,
  ["close, then wait"] = function(stream) stream:close("ABORTED", "told to") tidewire.sleep(3600) end,
  ["close elsewhere"] = function(stream)
    stream:spawn(function() tidewire.sleep(0.001) stream:close("ABORTED", "told to") end)
    tidewire.sleep(3600)
  end,
  ["close stubbornly"] = function(stream)
    stream:spawn(function() stream:close("ABORTED", "told to") end)
    while true do pcall(tidewire.sleep, 3600) end
  end,
  wait = function() tidewire.sleep(3600) end,
  ["send, then wait a little"] = function(stream) stream:send { greeting = "waiting" } tidewire.sleep(0.3) end,
  ["send, then wait"] = function(stream) stream:send { greeting = "waiting" } tidewire.sleep(3600) end,
}

local function hook(name)
  return function(stream)
    if stream:metadata "x-hook" == name .. " of %s" then acts[stream:metadata "x-act"](stream) end
  end
end

local hooks = { on_open = hook "on_open", on_request = hook "on_request", on_response = hook "on_response",
  on_half_close = hook "on_half_close", on_close = function(_, code) tidewire.log.info("%s closed " .. code) end }
return { GreetStream = hooks, Greet = hooks }
]]

local counts = [[
local tidewire = require "tidewire"
return { Chat = function(stream)
  for _ in stream:messages() do
    local behind = tidewire.upstreams().behind
    stream:send { timestamp = behind.streams + behind.waiting }
  end
end }
]]

local expected = { close = "ABORTED", fail = "ABORTED", error = "INTERNAL", reset = "CANCELLED",
  ["close, then wait"] = "ABORTED", ["close elsewhere"] = "ABORTED", ["close stubbornly"] = "ABORTED",
  wait = "DEADLINE_EXCEEDED" }
local names = { "on_open", "on_request", "on_response", "on_half_close" }

describe("a filter whose hook", function()
  local gw, channel

  before_each(function()
    gw = gateway.start {
      scripts = { ["first.lua"] = script:gsub("%%s", "first"), ["second.lua"] = script:gsub("%%s", "second"),
        ["counts.lua"] = counts },
      config = ('workers = 1\nupstream behind { target = "%s" }\nservice "chat.ChatService" { script = "counts.lua" }\n'
        .. 'service "greet.GreetService" { script = { "first.lua", "second.lua" }  upstream = "behind" }\n')
        :format(foreign.start_cpp()),
    }
    channel = client.connect(gw.address)
  end)

  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  -- Nothing is left of the calls, on either side.
  local function all_is_over(calls)
    local chat = channel:open "chat.ChatService/Chat"
    assert.is_true(process.await(gateway.patience, function()
      chat:send {}
      return chat:receive().timestamp == nil -- 0
    end))
    chat:half_close()
    for _, name in ipairs { "first", "second" } do
      assert.is_true(process.await(gateway.patience, function()
        return gw:count_in_log(name .. " closed ") == calls
      end))
    end
    assert.equal("fine", channel:call(unary, { name = "fine" }, client.soon).message.greeting)
  end

  -- Of a method with one request the half-close goes with that: the server may answer before a hook of it has ended.
  local function each_hook(act, is_unary)
    for _, name in ipairs(names) do
      for _, which in ipairs { "first", "second" } do
        if not (is_unary and name == "on_half_close") then act(name .. " of " .. which) end
      end
    end
  end

  it("ends the call, ends it so: that one alone, with that status", function()
    local calls = {}
    for _, method in ipairs { bidi, unary } do
      each_hook(function(hook)
        for act, code in pairs(expected) do
          local call = channel:open(method, { timeout = (act == "wait" and client.brief or client.soon).timeout,
            metadata = { ["x-hook"] = hook, ["x-act"] = act } })
          call:send { name = "a" }
          call:half_close()
          calls[#calls + 1] = { call = call, code = code, story = ("%s: %s in %s"):format(method, act, hook) }
        end
      end, method == unary)
    end
    for _, one in ipairs(calls) do
      one.call:receive_all()
      assert.equal(one.story .. " " .. one.code, one.story .. " " .. one.call:status().code)
    end
    all_is_over(#calls)
  end)

  it("waits, is woken when its client cancels", function()
    local calls = 0
    each_hook(function(hook)
      local call = channel:open(bidi, { metadata = { ["x-hook"] = hook, ["x-act"] = "send, then wait" } })
      call:send { name = "a" }
      call:half_close()
      repeat until assert(call:receive()).greeting == "waiting"
      call:cancel()
      calls = calls + 1
    end)
    all_is_over(calls)
    assert.equal(2 * calls, gw:count_in_log " closed CANCELLED")
  end)

  it("waits, is woken when its server goes; but what that has said still reaches the client", function()
    local calls = {}
    each_hook(function(hook)
      if hook:find "on_open" then return end -- the server does not know of it
      local is_response = hook:find "on_response"
      local call = channel:open(bidi, { metadata = { ["x-hook"] = hook,
        ["x-act"] = is_response and "send, then wait a little" or "send, then wait" } })
      call:send { name = "a" }
      if hook:find "half" then call:half_close() end
      repeat until assert(call:receive()).greeting == "waiting"
      calls[#calls + 1] = { call = call, has_more = is_response, hook = hook }
    end)
    foreign.kill()
    for _, one in ipairs(calls) do
      local rest = one.call:receive_all().messages
      if one.has_more then assert.same({ { greeting = "a" } }, rest) end
      assert.same({ one.hook, "UNAVAILABLE" }, { one.hook, one.call:status().code })
    end
    gw:wait_for_log "second closed UNAVAILABLE"
  end)
end)
