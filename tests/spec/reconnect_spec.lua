-- Streams that scripts open with `reconnect`: what breaks is opened again. The gateway is its own upstream.
local client = require "support.client"
local gateway = require "support.gateway"

local config = [[
workers = 1
listen "127.0.0.1:0" { }
listen "unix:self.sock" { }
upstream "self" { target = "unix:self.sock"  backoff = 20ms }
upstream "nowhere" { target = "127.0.0.1:1"  backoff = 20ms }
service "greet.GreetService" { script = "up.lua" }
service "chat.ChatService" { script = "front.lua" }
]]

-- Says back what it hears, and breaks when it is told to; answers a third attempt.
local up = [[
local tidewire = require "tidewire"
return {
  GreetStream = function(stream)
    for message in stream:messages() do
      if message.name == "break" then stream:close("UNAVAILABLE", "broken") return end
      if message.name == "end" then stream:close("NOT_FOUND", "not here") return end
      stream:send { greeting = message.name }
    end
  end,
  GreetServerStream = function(stream, request)
    if tonumber(request.name) < 3 then tidewire.fail("UNAVAILABLE", "attempt " .. request.name) end
    stream:send { greeting = "attempt " .. request.name }
  end,
}
]]

describe("a stream with reconnect", function()
  after_each(gateway.stop_all)

  -- What the body sends to its client, each thing as a line.
  local function run(body, options)
    local gw = gateway.start { config = config, scripts = { ["up.lua"] = up, ["front.lua"] = [[
      local tidewire = require "tidewire"
      return { Chat = function(stream)
        local function say(...) stream:send { message = table.concat({ ... }, " ") } end
        local function open(reconnect, more)
          local all = { reconnect = reconnect }
          for k, v in pairs(more or {}) do all[k] = v end
          return tidewire.open("self", "greet.GreetService/GreetStream", all)
        end
        -- Breaks it, and knows it: nothing can be sent.
        local function broken(reconnect, more)
          local up = open(reconnect, more)
          up:send { name = "break" }
          while up:try_send { name = "lost" } do tidewire.sleep(0.001) end
          return up
        end
        ]] .. body .. "\nend }" } }
    local stream = client.connect(gw.address):open("chat.ChatService/Chat", options)
    stream:half_close()
    local said = {}
    for _, message in ipairs(stream:receive_all().messages) do said[#said + 1] = message.message end
    return table.concat(said, "\n"), stream:status(), gw
  end

  it("is opened again when it breaks, and tells the script, which sends its state", function()
    assert.equal("one state 1 two", (run [[
      local told
      local up = open(function(again, attempt)
        told = attempt
        again:send { name = "state" }
      end)
      up:send { name = "one" }
      local one = up:recv().greeting
      up:send { name = "break" }
      local state = up:recv().greeting
      up:send { name = "two" }
      say(one, state, told, up:recv().greeting)
    ]]))
  end)

  it("keeps those who read and those who send waiting, behind what reconnect sends", function()
    local said, status, gw = run [[
      local up = broken(function(again)
        tidewire.sleep(0.01)
        again:send { name = "state" }
      end)
      say(tostring(up:try_send { name = "x" }), select(2, up:try_send { name = "x" }))
      stream:spawn(function()
        for _, name in ipairs { "a", "b" } do up:send { name = name } end
        up:send { name = "c" }
      end)
      say(up:recv().greeting, up:recv().greeting, up:recv().greeting, up:recv().greeting)
    ]]
    assert.equal("nil full\nstate a b c", said, status.code .. gw:log())
  end)

  it("is tried again and again, with a growing number", function()
    assert.equal("attempt 3\nnil OK 1 2 3", (run [[
      local attempts = {}
      local up = tidewire.open("self", "greet.GreetService/GreetServerStream", { reconnect = function(again, attempt)
        attempts[#attempts + 1] = attempt
        again:send { name = tostring(attempt) }
      end })
      up:send { name = "0" }
      say(up:recv().greeting)
      say(tostring(up:recv()), (up:status()), unpack(attempts))
    ]]))
  end)

  it("is given up when reconnect returns false: with the status that broke it", function()
    assert.equal("nil UNAVAILABLE broken", (run [[
      local up = broken(function() return false end)
      say(tostring(up:recv()), up:status())
    ]]))
  end)

  it("ends INTERNAL when reconnect fails, and the log says where", function()
    local said, _, gw = run [[
      local up = broken(function() error "oops" end)
      say(tostring(up:recv()), (up:status()))
    ]]
    assert.equal("nil INTERNAL", said)
    gw:wait_for_log "reconnect failed: front.lua:"
  end)

  it("is not opened again after another status than UNAVAILABLE", function()
    assert.equal("nil NOT_FOUND not here", (run [[
      local up = open(function() error "not reached" end)
      up:send { name = "end" }
      say(tostring(up:recv()), up:status())
    ]]))
  end)

  it("ends while it is broken: by its deadline, a cancel, or with the stream that has opened it", function()
    local said, _, gw = run [[
      local function never() tidewire.sleep(100) end
      local late = broken(never, { timeout = 0.05 })
      say(tostring(late:recv()), (late:status()))
      local cancelled = broken(never)
      cancelled:cancel()
      say(tostring(cancelled:recv()), (cancelled:status()))
      local left = broken(never)
      left:on_close(function(_, code) tidewire.log.info("left " .. code) end)
    ]]
    assert.equal("nil DEADLINE_EXCEEDED\nnil CANCELLED", said)
    gw:wait_for_log "left CANCELLED"
  end)

  it("leaves nothing behind when the process ends at once", function()
    for _, signal in ipairs { "QUIT", "TERM" } do
      local own = config:gsub('"up.lua" }', '"up.lua"  upstream = "self" }')
      local gw = gateway.start { config = "drain_timeout = 50ms\n" .. own,
        scripts = { ["up.lua"] = [[ return { Greet = function(stream)
          stream.upstream:set_header("x-a", "b") -- and never opened
          stream:wait()
        end, GreetStream = function(stream) stream:wait() end } ]], ["front.lua"] = [[
          local tidewire = require "tidewire"
          local function never() tidewire.sleep(100) end
          return { Chat = function(stream)
            local method = "greet.GreetService/GreetStream"
            for _, detached in ipairs { false, true } do
              for _, name in ipairs { "self", "nowhere" } do
                tidewire.open(name, method, { reconnect = never, detached = detached })
              end
            end
            stream:spawn(function() tidewire.call("self", "greet.GreetService/Greet", {}) end)
            tidewire.sleep(0.01)
            stream:send { message = "open" }
            stream:wait()
          end } ]] } }
      local stream = client.connect(gw.address):open "chat.ChatService/Chat"
      assert.equal("open", stream:receive().message)
      gw:signal(signal)
      assert.equal(0, gw:wait_exit())
    end
  end)

  it("finds its server again when that was away", function()
    local server = gateway.start { scripts = { ["up.lua"] = up }, config = 'listen "unix:up.sock" { }\n'
      .. 'drain_timeout = 50ms\nservice "greet.GreetService" { script = "up.lua" }' }
    local gw = gateway.start { config = 'workers = 1\nupstream "up" { target = "unix:' .. server:path "up.sock"
      .. '"  backoff = 20ms }\nservice "chat.ChatService" { script = "front.lua" }', scripts = { ["front.lua"] = [[
      local tidewire = require "tidewire"
      return { Chat = function(stream)
        local up = tidewire.open("up", "greet.GreetService/GreetStream",
          { reconnect = function(again) again:send { name = "back" } end })
        up:send { name = "here" }
        for message in up:messages() do stream:send { message = message.greeting } end
      end }
    ]] } }
    local stream = client.connect(gw.address):open "chat.ChatService/Chat"
    assert.equal("here", stream:receive().message)
    server:signal "TERM"
    assert.equal(0, server:wait_exit())
    server:launch()
    assert.equal("back", stream:receive().message)
    stream:cancel()
  end)
end)
