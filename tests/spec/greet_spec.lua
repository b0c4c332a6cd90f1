local gateway = require "support.gateway"
local client = require "support.client"

describe("the greeter", function()
  local channel
  before_each(function() channel = client.connect(gateway.start({ config = gateway.examples }).address) end)
  after_each(gateway.stop_all)

  it("answers a unary call with the name", function()
    local reply = channel:call("greet.GreetService/Greet", { name = "triple" })
    assert.same({ greeting = "triple" }, reply.message)
    assert.equal("OK", reply.code)
  end)

  it("answers each name of a stream as it comes", function()
    local stream = channel:open("greet.GreetService/GreetStream", client.soon)
    for i = 1, 20 do
      stream:send { name = "triple " .. i }
      assert.same({ greeting = "triple " .. i }, stream:receive())
    end
    stream:half_close()
    assert.same({ nil, "end" }, { stream:receive() })
    assert.equal("OK", stream:status().code)
  end)

  it("joins five greetings of a client with commas", function()
    local names = {}
    for i = 1, 5 do names[i] = { name = "triple" } end
    local replies, status = channel:exchange("greet.GreetService/GreetClientStream", names)
    assert.same({ { greeting = "triple,triple,triple,triple,triple" } }, replies)
    assert.equal("OK", status.code)
  end)

  it("joins no greetings to an empty one", function()
    local replies, status = channel:exchange("greet.GreetService/GreetClientStream", {})
    assert.same({ {} }, replies)
    assert.equal("OK", status.code)
  end)

  it("answers one name with five greetings", function()
    local replies, status = channel:exchange("greet.GreetService/GreetServerStream", { { name = "triple" } })
    local five = {}
    for i = 1, 5 do five[i] = { greeting = "triple" } end
    assert.same(five, replies)
    assert.equal("OK", status.code)
  end)

  it("keeps every character of a name", function()
    for _, name in ipairs { "", "Ünïcödé 🦊", "a\0b", ("x"):rep(100000) } do
      local reply = channel:call("greet.GreetService/Greet", { name = name })
      assert.equal(name, (reply.message or {}).greeting or "")
      assert.equal("OK", reply.code)
    end
  end)

  it("serves a thousand calls of one connection, and leaves none behind", function()
    local load = client.load({ channel }, { kind = "callers", count = 20, method = "greet.GreetService/Greet",
      message = { name = "ann" }, expected = { greeting = "ann" } })
    assert.is_table(load:await("received", 1000))
    local figures = load:stop()
    assert.same({ 0, 0, {} }, { figures.wrong, figures.broken, figures.reasons })
    assert.equal(figures.sent, figures.received)
  end)
end)
