local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local chat = "chat.ChatService/Chat"

describe("a topic", function()
  after_each(gateway.stop_all)

  -- `hooks` are those of the chat; `top` runs when the script is loaded.
  local function serve(hooks, top, config)
    local gw = gateway.start {
      scripts = { ["chat.lua"] = 'local tidewire = require "tidewire"\nlocal log = tidewire.log\n' .. (top or "")
        .. "\nreturn { Chat = {" .. hooks .. "\n} }" },
      config = (config or "") .. '\nservice "chat.ChatService" { script = "chat.lua" }',
    }
    return gw
  end

  local function join(gw, metadata)
    local stream = client.connect(gw.address):open(chat, { metadata = metadata })
    assert.is_table(stream:headers())
    return stream
  end

  local room = 'local room = tidewire.topic "room"'

  it("reaches the subscribers of all workers, in the order of publishing", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream) end,
      on_message = function(_, message) room:publish(message) end,
    ]], room, "workers = 4")
    local streams = {}
    for i = 1, 8 do streams[i] = join(gw) end
    for i = 1, 200 do streams[1]:send { timestamp = i } end
    for _, stream in ipairs(streams) do
      for i = 1, 200 do assert.equal(i, stream:receive().timestamp) end
    end
  end)

  it("keeps what a stream sends in its place among what it publishes", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream) end,
      on_message = function(stream, message)
        stream:send { timestamp = 1 }
        room:publish { timestamp = 2 }
        stream:send { timestamp = 3 }
        room:publish { timestamp = 4 }
        room:publish { timestamp = 5 }
        other:publish { timestamp = 6 }
        room:publish { timestamp = 7 }
        stream:send { timestamp = room:counters().delivered }
        room:publish { timestamp = 8 }
        stream:close()
      end,
    ]], room .. ' local other = tidewire.topic("other", { type = "chat.ChatMessage" })', "workers = 1")
    local stream, witness = join(gw), join(gw)
    stream:send { timestamp = 0 }
    for i, want in ipairs { 1, 2, 3, 4, 5, 7, 8, 8 } do assert.same({ i, want }, { i, stream:receive().timestamp }) end
    assert.equal("OK", stream:status().code)
    for _, want in ipairs { 2, 4, 5, 7, 8 } do assert.equal(want, witness:receive().timestamp) end
  end)

  it("passes to each subscriber what its filter lets through", function()
    local gw = serve([[
      on_open = function(stream)
        local sender = stream:metadata "x-sender"
        if sender then room:subscribe(stream, { filter = { sender = sender } })
        else room:subscribe(stream, { filter = function(_, message) return message.timestamp % 2 == 0 end }) end
      end,
      on_message = function(_, message) room:publish(message) end,
    ]], room)
    local ann, even, speaker = join(gw, { ["x-sender"] = "ann" }), join(gw), join(gw, { ["x-sender"] = "nobody" })
    for i = 1, 10 do speaker:send { sender = i % 3 == 0 and "ann" or "bob", timestamp = i } end
    for _, i in ipairs { 3, 6, 9 } do assert.equal(i, ann:receive().timestamp) end
    for _, i in ipairs { 2, 4, 6, 8, 10 } do assert.equal(i, even:receive().timestamp) end
    assert.same({ nil, "timeout" }, { speaker:receive(0.1) })
  end)

  it("takes a new filter when a stream subscribes again, and loses nothing", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream, { filter = { sender = "a" } }) end,
      on_message = function(stream, message)
        if message.message == "switch" then room:subscribe(stream, { filter = { sender = "b" } }) end
        room:publish(message)
      end,
    ]], room)
    local stream = join(gw)
    stream:send { sender = "a", timestamp = 1 }
    stream:send { sender = "b", timestamp = 2 }
    stream:send { sender = "b", message = "switch", timestamp = 3 }
    stream:send { sender = "a", timestamp = 4 }
    stream:send { sender = "b", timestamp = 5 }
    for _, i in ipairs { 1, 3, 5 } do assert.equal(i, stream:receive().timestamp) end
  end)

  it("spares a stream its own messages with echo = false", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream, { echo = false }) end,
      on_message = function(_, message) room:publish(message) end,
    ]], room)
    local ann, bob = join(gw), join(gw)
    ann:send { sender = "ann" }
    assert.equal("ann", bob:receive().sender)
    bob:send { sender = "bob" }
    assert.equal("bob", ann:receive().sender)
  end)

  it("calls a function that subscribes, in its worker", function()
    local gw = serve([[ on_message = function(_, message) room:publish(message) end ]], [[
      local room = tidewire.topic("room", { type = "chat.ChatMessage" })
      room:subscribe(function(message) log.info(("heard %s in %d"):format(message.sender, tidewire.worker.id)) end)
    ]], 'workers = 2\nproto = { "chat.proto" }')
    local stream = client.connect(gw.address):open(chat)
    stream:send { sender = "ann" }
    gw:wait_for_log "heard ann in 0"
    gw:wait_for_log "heard ann in 1"
    stream:half_close()
  end)

  it("counts its subscribers, and forgets those that cancel or go", function()
    local gw = serve([[
      on_message = function(stream, message)
        if message.sender == "in" then stream.ctx.subscription = room:subscribe(stream) end
        if message.sender == "out" then stream.ctx.subscription:cancel() end
        return { sender = tostring(room:count()) }
      end,
    ]], room, "workers = 1")
    local one, two = client.connect(gw.address):open(chat), client.connect(gw.address):open(chat)
    local function count(stream, sender)
      stream:send { sender = sender }
      return stream:receive().sender
    end
    assert.equal("0", count(one, "look"))
    assert.equal("1", count(one, "in"))
    assert.equal("2", count(two, "in"))
    assert.equal("1", count(two, "out"))
    assert.equal("2", count(two, "in"))
    one:half_close()
    one:cancel()
    one:status()
    assert.equal("1", require("support.process").await(gateway.patience, function()
      local n = count(two, "look")
      return n == "1" and n
    end))
  end)

  it("says to publishers how many it had, in all workers, and encodes what they publish at once", function()
    local gw = serve([[
      on_open = function(stream)
        local kind = stream:metadata "x-kind"
        if kind == "few" then room:subscribe(stream, { filter = { sender = "nobody" } }) end
        if kind == "all" then room:subscribe(stream, { policy = "drop_new", queue = 1 }) end
      end,
      on_message = function(stream)
        local message = { sender = "before" }
        local reached = room:publish(message)
        message.sender = "after"
        return { sender = "reached", timestamp = reached }
      end,
    ]], [[
      local room = tidewire.topic("room", { type = "chat.ChatMessage" })
      room:subscribe(function(message) log.info("heard " .. message.sender) end)
    ]], "workers = 2")
    local all = {}
    for i = 1, 4 do all[i] = join(gw, { ["x-kind"] = "all" }) end
    for _ = 1, 3 do join(gw, { ["x-kind"] = "few" }) end
    local speaker = join(gw)
    speaker:send {}
    assert.equal(4 + 3 + 2, speaker:receive().timestamp)
    for _, stream in ipairs(all) do assert.equal("before", stream:receive().sender) end
    gw:wait_for_log "heard before"
    assert.is_false(gw:said "heard after")
  end)

  local function flood(policy, queue)
    return serve(([[
      on_open = function(stream)
        room:subscribe(stream, { policy = "%s", queue = %d })
        stream:on_close(function(_, code) log.info("closed " .. tostring(code)) end)
      end,
      on_message = function(stream, message)
        for i = 1, 5000 do room:publish { timestamp = i, message = ("x"):rep(1000) } end
        log.info "published"
      end,
    ]]):format(policy, queue), room, "workers = 1")
  end

  it("closes a subscriber that does not keep up, unless it says otherwise: no silent loss", function()
    local gw = flood("close", 16)
    local slow = join(gw)
    slow:send {}
    gw:wait_for_log "published"
    local got = slow:receive_all()
    assert.equal("RESOURCE_EXHAUSTED", slow:status().code)
    for i, message in ipairs(got.messages) do assert.equal(i, message.timestamp) end
  end)

  it("drops the oldest for a subscriber that asked for it, and keeps the newest", function()
    local gw = flood("drop_old", 16)
    local slow = join(gw)
    slow:send {}
    gw:wait_for_log "published"
    local last, count = 0, 0
    repeat
      local message = assert(slow:receive())
      assert.is_true(message.timestamp > last)
      last, count = message.timestamp, count + 1
    until last == 5000
    assert.is_true(count < 5000)
    slow:cancel()
  end)

  -- A stream's messages until the last of the flood; it was slow, so that there are fewer than were published.
  local function survivors(gw)
    local slow, got = join(gw), {}
    slow:send {}
    gw:wait_for_log "published"
    repeat got[#got + 1] = assert(slow:receive()) until got[#got].sender == "last"
    slow:cancel()
    return got
  end

  local flood_and_tell = [[
      on_message = function(stream, message)
        for i = 1, 5000 do room:publish { sender = "k" .. i % 10, timestamp = i, message = ("x"):rep(1000) } end
        log.info "published"
        local n
        repeat
          tidewire.sleep(0.01)
          n = room:counters()
        until n.delivered + n.dropped_new + n.coalesced == n.published
        room:publish { sender = "last" }
        n = room:counters()
        log.info(("%d of %d, %d %d %d"):format(n.delivered, n.published, n.dropped_old, n.dropped_new, n.coalesced))
      end,
    ]]

  it("drops the newest for a subscriber that asked for it, and counts them", function()
    local gw = serve([[on_open = function(stream) room:subscribe(stream, { policy = "drop_new", queue = 16 }) end,
      ]] .. flood_and_tell, room, "workers = 1")
    local got = survivors(gw)
    for i = 1, #got - 1 do assert.equal(i, got[i].timestamp) end
    gw:wait_for_log(("%d of 5001, 0 %d 0"):format(#got, 5001 - #got))
  end)

  it("keeps the newest of each key for a subscriber that asked for it, and counts the others", function()
    local gw = serve([[on_open = function(stream)
        room:subscribe(stream, { policy = "coalesce", key = "sender", queue = 16 })
      end,]] .. flood_and_tell, room, "workers = 1")
    local got, newest = survivors(gw), {}
    for _, message in ipairs(got) do newest[message.sender] = message.timestamp end
    for i = 4991, 5000 do assert.equal(i, newest["k" .. i % 10]) end
    gw:wait_for_log(("%d of 5001, 0 0 %d"):format(#got, 5001 - #got))
  end)

  -- A stream in the room whose client never opens its window.
  local function join_stuck(gw, metadata)
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, chat, metadata)
    assert(wire:expect { type = "HEADERS", stream = 1 })
    return wire
  end

  it("makes publishers wait for a subscriber that asked for it, in whichever worker, and loses nothing", function()
    local gw = serve([[
      on_open = function(stream)
        if stream:metadata "x-slow" then room:subscribe(stream, { policy = "block", queue = 4 }) end
      end,
      on_message = function(stream)
        for i = 1, 3000 do room:publish { timestamp = i, message = ("x"):rep(1000) } end
        log.info(("waited: %s"):format(room:counters().waited > 0))
      end,
    ]], room, "workers = 2\nlimits { buffered_per_stream = 64KiB }")
    local slow = {}
    for i = 1, 4 do slow[i] = join(gw, { ["x-slow"] = "yes" }) end
    join(gw):send {}
    for i = 1, 3000 do
      for _, stream in ipairs(slow) do assert.equal(i, stream:receive().timestamp) end
    end
    gw:wait_for_log "waited: true"
  end)

  it("closes a subscriber that holds up publishers for too long, and no other", function()
    local gw = serve([[
      on_open = function(stream)
        local timeout = tonumber(stream:metadata "x-timeout")
        if timeout then room:subscribe(stream, { policy = "block", queue = 4, timeout = timeout }) end
      end,
      on_message = function(stream)
        for i = 1, 1000 do room:publish { timestamp = i, message = ("x"):rep(1000) } end
        log.info(("closed %d, published"):format(room:counters().closed))
      end,
    ]], room, "workers = 2\nlimits { buffered_per_stream = 64KiB }")
    local stuck, reading = join_stuck(gw, { ["x-timeout"] = "0.2" }), join(gw, { ["x-timeout"] = "60" })
    join(gw):send {}
    for i = 1, 1000 do assert.equal(i, reading:receive().timestamp) end
    gw:wait_for_log "closed 1, published"
    stuck:reset(1)
  end)

  it("gives up a publish that waits when its client goes", function()
    local gw = serve([[
      on_open = function(stream)
        if stream:metadata "x-slow" then room:subscribe(stream, { policy = "block", queue = 1, timeout = 600 }) end
        stream:on_close(function() log.info("gone, waited: " .. tostring(room:counters().waited > 0)) end)
      end,
      on_message = function(stream) while true do room:publish { message = ("x"):rep(10000) } end end,
    ]], room, "workers = 2\nlimits { buffered_per_stream = 64KiB }")
    local slow, speaker = join_stuck(gw, { ["x-slow"] = "yes" }), join(gw)
    speaker:send {}
    assert(slow:expect { type = "DATA", stream = 1 })
    speaker:cancel()
    gw:wait_for_log "gone, waited: true"
    slow:reset(1)
  end)

  local kept = 'local room = tidewire.topic("room", '
    .. '{ type = "chat.ChatMessage", history = %d, position = "timestamp" })'

  it("replays what it has kept, and goes on with what comes, over all workers", function()
    local gw = serve([[
      on_open = function(stream)
        local since = stream:metadata "x-since"
        if not since then return end
        local _, gap = room:subscribe(stream, { since = tonumber(since) or since })
        if gap then log.info "a gap" end
      end,
      on_message = function(_, message) room:publish(message) end,
    ]], kept:format(50), "workers = 2")
    local speaker = join(gw)
    local function say(from, to) for i = from, to do speaker:send { sender = tostring(i) } end end
    local function hear(stream, from, to)
      local message
      for i = from, to do
        message = stream:receive()
        assert.equal(tostring(i), message.sender)
      end
      return message.timestamp
    end
    local first = join(gw, { ["x-since"] = "all" })
    say(1, 100)
    hear(first, 1, 100)
    local all, three = join(gw, { ["x-since"] = "all" }), join(gw, { ["x-since"] = "3" })
    say(101, 120)
    hear(all, 51, 120)
    local seen = hear(three, 98, 110)
    three:cancel()
    say(121, 125)
    hear(first, 101, 125)
    hear(join(gw, { ["x-since"] = ("%d"):format(seen) }), 111, 125)
    hear(join(gw, { ["x-since"] = ("%d"):format(seen - 100) }), 76, 125)
    gw:wait_for_log "a gap"
  end)

  it("misses nothing and doubles nothing for clients that come and go under load", function()
    local gw = serve([[
      on_open = function(stream)
        local since = stream:metadata "x-since"
        if since then room:subscribe(stream, { since = tonumber(since) or since, policy = "block" }) end
      end,
      on_message = function(_, message)
        for i = 1, 3000 do
          room:publish {}
          if i % 10 == 0 then tidewire.sleep(0.001) end
        end
      end,
    ]], kept:format(100000), "workers = 2")
    local speakers, seen, heard = { join(gw), join(gw) }, nil, 0
    for _, speaker in ipairs(speakers) do speaker:send {} end
    while heard < 6000 do
      local stream = join(gw, { ["x-since"] = seen and ("%d"):format(seen) or "all" })
      for _ = 1, math.min(400, 6000 - heard) do
        local position = stream:receive().timestamp
        assert.equal((seen or position - 1) + 1, position)
        seen, heard = position, heard + 1
      end
      stream:cancel()
    end
  end)

  it("keeps no more than limits.history of all topics", function()
    local gw = serve([[
      on_message = function(stream)
        local before = room:position()
        for _ = 1, 400 do room:publish { message = ("x"):rep(10000) } end
        room:subscribe(stream, { since = "all", policy = "block" })
        stream:send { timestamp = room:position() - before }
      end,
    ]], kept:format(1000), "workers = 1\nlimits { history = 1MiB }")
    local stream = join(gw)
    stream:send {}
    assert.equal(400, stream:receive().timestamp)
    local got = 0
    while stream:receive(0.5) do got = got + 1 end
    assert.is_true(got > 90 and got < 106, got)
  end)

  it("knows who is there, over all workers, and tells who comes and goes", function()
    local gw = serve([[
      on_open = function(stream)
        local user = stream:metadata "x-user"
        if user then room:subscribe(stream, { show = { name = user } }) end
      end,
      on_message = function(stream, message)
        if message.sender == "rename" then room:subscribe(stream, { show = { name = message.message } }) end
        local names = {}
        for i, member in ipairs(room:members()) do names[i] = member.name end
        table.sort(names)
        return { message = table.concat(names, ",") }
      end,
    ]], room .. [[

      local last = ""
      local watch
      watch = room:watch(function(event, member)
        tidewire.sleep(0.001) -- the next event waits
        log.info(("worker %d: %s %s after %s"):format(tidewire.worker.id, event, member.name, last))
        last = member.name
        if last == "end" then watch:cancel() end
      end)]], "workers = 2")
    local function members(stream, command, text)
      stream:send { sender = command, message = text }
      return stream:receive().message
    end
    local ann, bob, nobody = join(gw, { ["x-user"] = "ann" }), join(gw, { ["x-user"] = "bob" }), join(gw)
    for _, stream in ipairs { ann, bob, nobody } do assert.equal("ann,bob", members(stream)) end
    assert.equal("ann,rob", members(bob, "rename", "rob"))
    ann:cancel()
    for id = 0, 1 do
      gw:wait_for_log(("worker %d: join bob after ann"):format(id))
      gw:wait_for_log(("worker %d: join rob after bob"):format(id))
      gw:wait_for_log(("worker %d: leave ann after rob"):format(id))
    end
    assert.equal("rob", members(nobody))
    assert.equal("end", members(bob, "rename", "end"))
    gw:wait_for_log "worker 0: join end after rob"
    gw:wait_for_log "worker 1: join end after rob"
    assert.equal("later", members(bob, "rename", "later"))
    assert.is_nil(gw:log():find "later")
  end)

  it("encodes a message once, however many hear it in however many workers", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream, { filter = { sender = "ann" } }) end,
      on_message = function(_, message)
        for i = 1, 100 do room:publish { sender = "ann", timestamp = i } end
        log.info(("encoded %d of %d"):format(room:counters().encoded, room:counters().published))
      end,
    ]], room, "workers = 2")
    local streams = {}
    for i = 1, 20 do streams[i] = join(gw) end
    streams[1]:send {}
    for _, stream in ipairs(streams) do
      for i = 1, 100 do assert.equal(i, stream:receive().timestamp) end
    end
    gw:wait_for_log "encoded 100 of 100"
  end)

  it("of another type is refused", function()
    local gw = serve([[
      on_open = function(stream) room:subscribe(stream) end,
      on_message = function(_, message)
        local is_fine, fault = pcall(room.publish, room, { greeting = "wrong" })
        return { message = tostring(is_fine) .. " " .. tostring(fault) }
      end,
    ]], room)
    local stream = join(gw)
    stream:send {}
    assert.is_truthy(stream:receive().message:find "^false .*greeting")
  end)

  it("is bounded in number by limits.topics, and freed when nobody needs it", function()
    local gw = serve([[
      on_message = function(stream, message)
        local is_fine, fault = pcall(function()
          local topic = tidewire.topic(message.sender, { type = "chat.ChatMessage" })
          topic:subscribe(stream)
        end)
        local junk = {} -- a topic that nobody holds any more goes with the garbage
        for i = 1, 10000 do junk[i] = {} end
        return { message = tostring(is_fine) }
      end,
    ]], "", "limits { topics = 5 }\nworkers = 1")
    local stream = client.connect(gw.address):open(chat)
    local function try(name, other)
      (other or stream):send { sender = name };
      return (other or stream):receive().message
    end
    for i = 1, 5 do assert.equal("true", try("t" .. i)) end
    assert.equal("false", try "t6")
    stream:cancel()
    stream:status()
    assert.equal("true", require("support.process").await(gateway.patience, function()
      local answer = try("t7", client.connect(gw.address):open(chat))
      return answer == "true" and answer
    end))
  end)
end)
