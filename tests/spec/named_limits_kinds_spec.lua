-- What a `limit` can count besides messages a second: bytes, messages in all, streams, silence, age.
local client = require "support.client"
local gateway = require "support.gateway"
local metered = require "support.metered"
local process = require "support.process"
local raw = require "support.raw"

local echo = metered.echo

-- Messages of 2000 bytes with their prefixes.
local function large(count)
  local messages = {}
  for i = 1, count do messages[i] = { number = i, body = ("x"):rep(1990) } end
  return messages
end

describe("a limit of", function()
  after_each(metered.stop)

  metered.each(it, "bytes a second lets messages wait, each way", function(way)
    local _, channel = metered.start(way,
      "limit slow { direction = both  bytes_per_second = 50000B  bytes_burst = 10000B }", "slow")
    local stream, from = channel:open(echo, client.soon), process.now()
    stream:send_each(large(20))
    stream:half_close()
    metered.are_numbered(assert, stream:receive_all().messages, 20)
    assert.equal("OK", stream:status().code)
    assert.is_true(process.now() - from >= (20 * 2000 - 10000) / 50000 - 0.1)
  end)

  metered.each(it, "bytes a second that is hard ends the stream", function(way)
    local _, channel = metered.start(way, "limit strict { action = hard  bytes_per_second = 1B  bytes_burst = 10000B }",
      "strict")
    local stream = channel:open(echo, client.soon)
    stream:flood { body = ("x"):rep(1990) }
    local replies = stream:receive_all().messages
    metered.assert_limited(assert, stream:status(), "strict")
    assert.is_true(#replies <= 5)
  end)

  metered.each(it, "messages in all ends a stream with the one that is too many", function(way)
    local _, channel = metered.start(way, "limit few { messages = 5 }", "few")
    local stream = channel:open(echo, client.soon)
    for i = 1, 5 do
      stream:send { number = i }
      assert.same({ number = i }, stream:receive())
    end
    stream:send { number = 6 }
    assert.is_nil(stream:receive())
    assert.equal('limit "few": more than 5 messages', stream:status().text)
    assert.equal("RESOURCE_EXHAUSTED", stream:status().code)
  end)

  metered.each(it, "streams a second refuses unary calls too, before any handler hears of them", function(way)
    local gw, channel = metered.start(way, "limit few { per = service  streams_per_second = 0.01  streams_burst = 3 }",
      "few")
    for i = 1, 3 do assert.same({ number = i }, channel:call("interop.Interop/Echo", { number = i }).message) end
    local refused = channel:call("interop.Interop/Echo", { number = 4 })
    assert.is_true(metered.assert_limited(assert, refused, "few").seconds > 50)
    assert.is_true(tonumber(refused.trailers["grpc-retry-pushback-ms"][1]) > 50000)
    assert.is_truthy(gw:wait_for_log "status=RESOURCE_EXHAUSTED reason=limit limit=few")
    assert.same({ delayed = 0, refused = 1, ended = 0, crowded = 0 }, metered.figures(gw, "few"))
  end)

  it("streams a second is kept by clients that retry by themselves, as it tells them", function()
    local gw = metered.start("function", "limit few { per = service  streams_per_second = 2  streams_burst = 1 }",
      "few")
    -- By its own policy grpcio would try again four times, after 10 ms each, and then give up.
    local channel = client.connect(gw.address, { options = { ["grpc.enable_retries"] = 1,
      ["grpc.service_config"] = [[{ "methodConfig": [{ "name": [{}], "retryPolicy": { "maxAttempts": 5,
        "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"] } }] }]] } })
    for i = 1, 3 do assert.same({ number = i }, channel:call("interop.Interop/Echo", { number = i }).message) end
    assert.is_true(metered.figures(gw, "few").refused <= 8)
  end)

  it("the size of a message holds for what is passed on, too", function()
    local gw, channel = metered.start("passed", "limit few { per = service  streams = 10 }", "few",
      { service = "message = 1000B" })
    local function echo_of(size) -- in all, with four bytes before the body
      return channel:call("interop.Interop/Echo", { body = ("x"):rep(size - 3) })
    end
    assert.equal(997, #echo_of(1000).message.body)
    local refused = echo_of(1001)
    assert.equal("RESOURCE_EXHAUSTED", refused.code)
    assert.equal("message larger than max (1001 vs. 1000)", refused.text)
    assert.is_truthy(gw:wait_for_log "status=RESOURCE_EXHAUSTED reason=limit")
  end)

  metered.each(it, "silence is measured in messages: PINGs and parts of messages do not break it", function(way)
    local idle = 2 * gateway.slowness -- the first answer from behind has to come within it
    local gw = metered.start(way, ("limit quiet { idle = %ds }"):format(idle), "quiet")
    local wire = assert(raw.connect(gw.address))
    local from = process.now()
    wire:headers(1, echo)
    wire:data(1, raw.message "")
    assert(wire:expect { type = "DATA", stream = 1 })
    wire:send { { send = "ping", bytes = "12345678" } }
    wire:data(1, "\0\0\1\0\0")
    local trailers = process.await(gateway.patience, function()
      wire:data(1, "of a message that never ends")
      return wire:trailers(1, 0.05)
    end)
    assert.equal("8", trailers.fields["grpc-status"])
    assert.equal(('limit "quiet": no message for %d s'):format(idle), trailers.fields["grpc-message"])
    assert.is_true(process.now() - from >= idle - 0.1)
  end)

  metered.each(it, "age ends the stream that talks, too", function(way)
    local _, channel = metered.start(way, "limit old { age = 300ms }", "old")
    local stream, from, count = channel:open(echo), process.now(), 0
    repeat
      count = count + 1
      stream:send { number = count }
      local reply = stream:receive()
      assert.is_true(reply == nil or reply.number == count)
    until not reply
    local status = stream:status()
    assert.equal("RESOURCE_EXHAUSTED", status.code)
    assert.equal('limit "old": the stream has been open for 0.3 s', status.text)
    assert.is_true(process.now() - from >= 0.2)
  end)
end)
