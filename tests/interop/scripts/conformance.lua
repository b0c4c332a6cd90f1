-- connectrpc.conformance.v1.ConformanceService: answers as each request says, and tells what it saw of the request.
local tidewire = require "tidewire"
local codes = require "codes"

local types = "connectrpc.conformance.v1."
local service = {}

local function any(message)
  return { type_url = "type.googleapis.com/" .. message:type(), value = message:bytes() }
end

-- What the first answer tells: metadata and deadline as they came, and the requests so far.
local function request_info(stream, requests)
  local headers = {}
  for name, values in pairs(stream:metadata()) do headers[#headers + 1] = { name = name, value = values } end
  local remaining = stream:remaining()
  return { request_headers = headers, timeout_ms = remaining and math.floor(remaining * 1000), requests = requests }
end

local function set_metadata(stream, definition)
  for _, header in ipairs(definition.response_headers) do
    for _, value in ipairs(header.value) do stream:add_header(header.name, value) end
  end
  for _, trailer in ipairs(definition.response_trailers) do
    for _, value in ipairs(trailer.value) do stream:add_trailer(trailer.name, value) end
  end
end

local function wait(definition)
  if definition.response_delay_ms > 0 then tidewire.sleep(definition.response_delay_ms / 1000) end
end

-- Ends the call with the error; `info` joins its details where no answer could tell it.
local function fail(error, info)
  local details = {}
  for i, detail in ipairs(error.details) do
    details[i] = { type = detail.type_url:match "[^/]*$", value = detail.value }
  end
  if info then
    details[#details + 1] = tidewire.message.new(types .. "ConformancePayload.RequestInfo", info)
  end
  tidewire.fail(codes[error.code] or "UNKNOWN", error.message or "", details)
end

local function answer_once(stream, definition, requests)
  local info = request_info(stream, requests)
  if not definition then return { payload = { request_info = info } } end
  set_metadata(stream, definition)
  wait(definition)
  if definition.error then fail(definition.error, info) end
  return { payload = { data = definition.response_data, request_info = info } }
end

function service.Unary(stream, request)
  return answer_once(stream, request.response_definition, { any(request) })
end

service.IdempotentUnary = service.Unary

function service.ClientStream(stream)
  stream:hold_headers() -- the first request says what is in them
  local definition
  local requests = {}
  for request in stream:messages() do
    if #requests == 0 then definition = request.response_definition end
    requests[#requests + 1] = any(request)
  end
  return answer_once(stream, definition, requests)
end

-- Sends the responses from number `first` on, then the error; the first response of all tells the requests.
local function answer_rest(stream, definition, first, requests)
  if not definition then return end
  for i = first, #definition.response_data do
    wait(definition)
    stream:send { payload = {
      data = definition.response_data[i],
      request_info = i == 1 and request_info(stream, requests) or nil,
    } }
  end
  if definition.error then
    fail(definition.error, #definition.response_data == 0 and request_info(stream, requests) or nil)
  end
end

-- Headers go ahead of the first response, however long that takes.
local function send_headers(stream, definition)
  if definition and #definition.response_data > 0 then stream:send_headers() end
end

function service.ServerStream(stream, request)
  local definition = request.response_definition
  if definition then set_metadata(stream, definition) end
  send_headers(stream, definition)
  answer_rest(stream, definition, 1, { any(request) })
end

-- One response for each request, while there are any.
local function answer_each(stream, request, definition)
  local requests, sent = {}, 0
  while request do
    requests[#requests + 1] = any(request)
    if sent == (definition and #definition.response_data or 0) then break end
    sent = sent + 1
    wait(definition)
    stream:send { payload = {
      data = definition.response_data[sent],
      request_info = sent == 1 and request_info(stream, requests) or { requests = requests },
    } }
    requests = {}
    request = stream:recv()
  end
  answer_rest(stream, definition, sent + 1, requests)
end

function service.BidiStream(stream)
  stream:hold_headers()
  local request = stream:recv()
  if not request then return end
  local definition = request.response_definition
  if definition then set_metadata(stream, definition) end
  if request.full_duplex then
    send_headers(stream, definition)
    return answer_each(stream, request, definition)
  end
  local requests = {}
  while request do
    requests[#requests + 1] = any(request)
    request = stream:recv()
  end
  send_headers(stream, definition)
  answer_rest(stream, definition, 1, requests)
end

return service
