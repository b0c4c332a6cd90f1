-- `limit` sections: messages that wait, or end their stream, in both directions, however the service is answered.
local client = require "support.client"
local metered = require "support.metered"
local process = require "support.process"

local echo = metered.echo

-- The least time that so many messages need, but for what the gateway's clock may lag within one turn of its loop.
local function least(count, rate, burst) return (count - burst) / rate - 0.1 end

local function ping_pong(stream, count)
  for i = 1, count do
    assert.is_true(stream:send { number = i })
    assert.same({ number = i }, stream:receive())
  end
  stream:half_close()
  assert.equal("OK", stream:status().code)
end

describe("a soft limit", function()
  after_each(metered.stop)

  metered.each(it, "lets requests wait, and loses none of them", function(way)
    local gw, channel = metered.start(way, "limit slow { messages_per_second = 100  messages_burst = 20 }", "slow")
    local from = process.now()
    local stream = channel:open(echo, client.soon)
    stream:send_each(metered.numbered(1, 70))
    stream:half_close()
    metered.are_numbered(assert, stream:receive_all().messages, 70)
    assert.equal("OK", stream:status().code)
    assert.is_true(process.now() - from >= least(70, 100, 20))
    assert.is_true(gw:count_in_log 'limit "slow" delays messages of this stream' <= 1)
  end)

  metered.each(it, "lets responses wait, and loses none of them", function(way)
    local _, channel = metered.start(way,
      "limit slow { direction = response  messages_per_second = 100  messages_burst = 20 }", "slow")
    local from = process.now()
    local stream = channel:open(echo, client.soon)
    stream:send_each(metered.numbered(1, 70))
    stream:half_close()
    metered.are_numbered(assert, stream:receive_all().messages, 70)
    assert.equal("OK", stream:status().code)
    assert.is_true(process.now() - from >= least(70, 100, 20))
  end)

  metered.each(it, "leaves other streams alone while one waits", function(way)
    local gw, channel = metered.start(way, "limit slow { messages_per_second = 0.01  messages_burst = 20 }", "slow")
    local slow, other = channel:open(echo), channel:open(echo)
    slow:send_each(metered.numbered(1, 30))
    metered.are_numbered(assert, slow:receive_all(20).messages, 20)
    ping_pong(other, 20)
    assert.is_truthy(gw:wait_for_log 'limit "slow" delays messages of this stream')
    assert.same({ nil, "timeout" }, { slow:receive(0.1) })
    slow:cancel()
    assert.same({ delayed = 1, refused = 0, ended = 0, crowded = 0 }, metered.figures(gw, "slow"))
  end)
end)

describe("a hard limit", function()
  after_each(metered.stop)

  metered.each(it, "ends a stream whose requests come too fast, and leaves others alone", function(way)
    local gw, channel = metered.start(way,
      "limit strict { action = hard  messages_per_second = 0.01  messages_burst = 20 }", "strict")
    local other = channel:open(echo, client.soon)
    local stream = channel:open(echo, client.soon)
    stream:flood() -- grpcio's client hears of an end only when it has read what came before
    local replies, status = stream:receive_all().messages, stream:status()
    metered.assert_limited(assert, status, "strict")
    assert.is_true(status.details.list[1].message.retry_delay.seconds > 50)
    assert.is_true(#replies <= 20)
    metered.are_numbered(assert, replies, #replies)
    ping_pong(other, 20)
    assert.is_truthy(gw:wait_for_log "reason=limit limit=strict")
    assert.same({ delayed = 0, refused = 0, ended = 1, crowded = 0 }, metered.figures(gw, "strict"))
  end)

  metered.each(it, "ends a stream whose responses go too fast, behind those that it let through", function(way)
    local _, channel = metered.start(way,
      "limit strict { direction = response  action = hard  messages_per_second = 0.01  messages_burst = 20 }", "strict")
    local stream = channel:open(echo, client.soon)
    stream:flood()
    metered.are_numbered(assert, stream:receive_all().messages, 20)
    metered.assert_limited(assert, stream:status(), "strict")
  end)
end)
