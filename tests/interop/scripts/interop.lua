local tidewire = require "tidewire"

local interop = {}
local ended = 0

local function echo_metadata(stream)
  for _, value in ipairs(stream:metadata_all "x-echo") do stream:add_header("x-echo", value) end
  for _, value in ipairs(stream:metadata_all "x-echo-bin") do stream:add_trailer("x-echo-bin", value) end
end

function interop.Echo(stream, request)
  echo_metadata(stream)
  return request
end
interop.Look = interop.Echo

function interop.EchoStream(stream)
  echo_metadata(stream)
  for message in stream:messages() do stream:send(message) end
end

function interop.Fail(_, request)
  local info = tidewire.message.new("google.rpc.ErrorInfo", { reason = request.reason, domain = "interop" })
  tidewire.fail(request.code, request.text, { info })
end

function interop.Wait(stream, request)
  stream:on_close(function() ended = ended + 1 end)
  stream:send(request)
  while true do tidewire.sleep(3600) end
end

function interop.WaitStubbornly(stream, request)
  stream:on_close(function() ended = ended + 1 end)
  stream:send(request)
  while true do pcall(tidewire.sleep, 3600) end
end

function interop.Ended() return { number = ended } end

return interop
