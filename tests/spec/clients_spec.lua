-- Unmodified clients of other makers that Debian has; more of them in tools/interop.
local gateway = require "support.gateway"
local process = require "support.process"

describe("the grpc++ client", function()
  after_each(gateway.stop_all)

  it("finds every exchange as it expects it", function()
    local gw = gateway.start { file = "tests/interop/interop.conf" }
    local output = gw:path "grpc++"
    local code = process.start({ "build/interop-cpp/interop_cpp", gw.address }, { output = output })
      :wait(2 * gateway.patience)
    local file = assert(io.open(output))
    local text = file:read "*a"
    file:close()
    assert(code == 0, text)
  end)
end)
