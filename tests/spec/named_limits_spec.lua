-- `limit` sections: messages that wait, or end their stream, in both directions, however the service is answered.
local client = require "support.client"
local metered = require "support.metered"
local process = require "support.process"

local echo = metered.echo

-- Everything that EchoStream answers, its status, and how long that took.
local function exchange(channel, count)
  local from = process.now()
  local replies, status = channel:exchange(echo, metered.numbered(1, count), { timeout = 120 })
  return replies, status, process.now() - from
end

-- Until the stream takes no more: grpcio's client says so only once what came before it was read.
local function send_many(stream, count)
  for i = 1, count do
    if not stream:send({ number = i }, 0.3) then return end
  end
end

-- The least time that so many messages need, but for what the gateway's clock may lag within one turn of its loop.
local function least(count, rate, burst) return (count - burst) / rate - 0.1 end

local function assert_retry(status, limit)
  assert.equal("RESOURCE_EXHAUSTED", status.code)
  assert.is_truthy(status.text:find('limit "' .. limit .. '"', 1, true), status.text)
  local detail = status.details.list[1]
  assert.equal("type.googleapis.com/google.rpc.RetryInfo", detail.type_url)
  assert.equal(8, status.details.code)
  assert.equal(status.text, status.details.text)
end

describe("a soft limit", function()
  after_each(metered.stop)

  metered.each(it, "holds requests back, loses none, and leaves other streams alone", function(way)
    local gw, channel = metered.start(way, "limit slow { messages_per_second = 200  messages_burst = 20 }", "slow")
    local other = channel:open(echo, { timeout = 120 })
    local replies, status, seconds = exchange(channel, 150)
    for i = 1, 10 do
      assert.is_true(other:send { number = i })
      assert.same({ number = i }, other:receive())
    end
    other:half_close()
    assert.equal("OK", other:status().code)
    assert.equal("OK", status.code)
    metered.are_numbered(assert, replies, 150)
    assert.is_true(seconds >= least(150, 200, 20), seconds)
    assert.equal(1, gw:count_in_log 'limit "slow" delays messages of this stream')
    assert.is_true(metered.figures(gw, "slow").delayed > 50)
  end)

  metered.each(it, "holds responses back, and loses none", function(way)
    local _, channel = metered.start(way,
      "limit slow { direction = response  messages_per_second = 200  messages_burst = 20 }", "slow")
    local replies, status, seconds = exchange(channel, 150)
    assert.equal("OK", status.code)
    metered.are_numbered(assert, replies, 150)
    assert.is_true(seconds >= least(150, 200, 20), seconds)
  end)
end)

describe("a hard limit", function()
  after_each(metered.stop)

  metered.each(it, "ends a stream whose requests come too fast, and leaves others alone", function(way)
    local gw, channel = metered.start(way,
      "limit strict { action = hard  messages_per_second = 0.01  messages_burst = 20 }", "strict")
    local other = channel:open(echo, { timeout = 120 })
    local stream = channel:open(echo, { timeout = 120 })
    send_many(stream, 500)
    local replies, status = stream:receive_all().messages, stream:status()
    assert_retry(status, "strict")
    assert.is_true(status.details.list[1].message.retry_delay.seconds > 50)
    assert.is_true(#replies <= 20)
    metered.are_numbered(assert, replies, #replies)
    for i = 1, 20 do
      assert.is_true(other:send { number = i })
      assert.same({ number = i }, other:receive())
    end
    other:half_close()
    assert.equal("OK", other:status().code)
    assert.is_truthy(gw:wait_for_log "reason=limit")
    local figures = metered.figures(gw, "strict")
    assert.same({ delayed = 0, refused = 0, ended = 1, crowded = 0 }, figures)
  end)

  metered.each(it, "ends a stream whose responses go too fast, behind those that it let through", function(way)
    local _, channel = metered.start(way,
      "limit strict { direction = response  action = hard  messages_per_second = 0.01  messages_burst = 20 }", "strict")
    local stream = channel:open(echo, client.soon)
    send_many(stream, 30)
    metered.are_numbered(assert, stream:receive_all().messages, 20)
    assert_retry(stream:status(), "strict")
  end)
end)
