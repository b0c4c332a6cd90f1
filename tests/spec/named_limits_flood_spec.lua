-- Ten thousand messages a second and more, as fast as a client can, against a limit of a hundred.
local client = require "support.client"
local metered = require "support.metered"
local process = require "support.process"

local echo = metered.echo
local RATE, BURST = 100, 10
local limit = ("messages_per_second = %d  messages_burst = %d"):format(RATE, BURST)

-- Large enough that what waits in windows is soon through.
local function flood(stream) return stream:flood { body = ("x"):rep(8000) } end

-- That these are the first ones, in order.
local function assert_first(messages)
  for i, message in ipairs(messages) do assert.equal(i, message.number) end
end

-- A stream beside it: each of its messages, the limit's burst of them, comes back.
local function assert_untouched(channel)
  local other = channel:open(echo, client.soon)
  for i = 1, BURST do
    assert.is_true(other:send { number = i })
    assert.same({ number = i }, other:receive())
  end
  other:half_close()
  assert.equal("OK", other:status().code)
end

describe("a flood", function()
  after_each(metered.stop)

  metered.each(it, "passes a soft limit at its rate, and all of it", function(way)
    local _, channel = metered.start(way, ("limit slow { %s }"):format(limit), "slow")
    local stream, from = channel:open(echo), process.now()
    local function most() return BURST + RATE * (process.now() - from) end
    flood(stream)
    local got = {}
    while #got < BURST + RATE / 2 do -- what comes in half a second, whenever that is
      for _, message in ipairs(stream:receive_all(10).messages) do got[#got + 1] = message end
      assert.is_true(#got <= most(), #got .. " have come, of at most " .. most())
    end
    assert_untouched(channel)
    local sent = stream:calm()
    stream:half_close()
    for _, message in ipairs(stream:receive_all().messages) do got[#got + 1] = message end
    assert.is_true(#got <= most())
    assert.equal("OK", stream:status().code)
    assert.equal(sent, #got)
    assert_first(got)
  end)

  metered.each(it, "is ended by a hard limit, which says when to come again", function(way)
    local gw, channel = metered.start(way, ("limit strict { action = hard  %s }"):format(limit), "strict")
    local stream, from = channel:open(echo, client.soon), process.now()
    flood(stream)
    local got, status = stream:receive_all().messages, stream:status()
    local delay = metered.assert_limited(assert, status, "strict")
    assert.equal(0, delay.seconds or 0)
    assert.is_true(delay.nanos > 0 and delay.nanos <= 1e9 / RATE)
    assert.is_true(#got <= BURST + RATE * (process.now() - from))
    assert_first(got)
    assert_untouched(channel)
    assert.is_true(gw:wait_for_log("call ended"):find("status=RESOURCE_EXHAUSTED reason=limit", 1, true) ~= nil)
  end)
end)
