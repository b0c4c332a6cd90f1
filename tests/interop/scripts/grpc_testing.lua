-- grpc.testing.TestService: the server of gRPC's interoperability tests.
local tidewire = require "tidewire"
local codes = require "codes"

local service = {}
local server_id = ("tidewire-%d"):format(tidewire.time())

-- What is asked for comes back: a header, and a trailer, which a call that fails has too.
local function echo_metadata(stream)
  local initial = stream:metadata "x-grpc-test-echo-initial"
  local trailing = stream:metadata "x-grpc-test-echo-trailing-bin"
  local agent = stream:metadata "x-grpc-test-echo-useragent" and stream:metadata "user-agent"
  if initial then stream:set_header("x-grpc-test-echo-initial", initial) end
  if trailing then stream:set_trailer("x-grpc-test-echo-trailing-bin", trailing) end
  if agent then stream:set_header("x-grpc-test-echo-useragent", agent) end
end

local function end_as_asked(status)
  if status and status.code ~= 0 then tidewire.fail(codes[status.code] or "UNKNOWN", status.message) end
end

local function check_compression(stream, expected)
  if expected and expected.value ~= stream.compressed then
    tidewire.fail("INVALID_ARGUMENT", expected.value and "the request is not compressed" or "the request is compressed")
  end
end

local function payload(type, size)
  if type ~= 0 then tidewire.fail("INVALID_ARGUMENT", "unknown payload type " .. type) end
  if size < 0 then tidewire.fail("INVALID_ARGUMENT", "a payload of " .. size .. " bytes") end
  return { type = type, body = ("\0"):rep(size) }
end

local function load_report(report)
  return tidewire.message.new("xds.data.orca.v3.OrcaLoadReport", {
    cpu_utilization = report.cpu_utilization,
    mem_utilization = report.memory_utilization,
    request_cost = report.request_cost,
    utilization = report.utilization,
  })
end

local function answer(stream, request)
  for _, wanted in ipairs(request.response_parameters) do
    if wanted.interval_us > 0 then tidewire.sleep(wanted.interval_us / 1e6) end
    if wanted.compressed then stream:compress(wanted.compressed.value) end
    stream:send { payload = payload(request.response_type, wanted.size) }
  end
end

function service.EmptyCall() return {} end

function service.UnaryCall(stream, request)
  echo_metadata(stream)
  check_compression(stream, request.expect_compressed)
  end_as_asked(request.response_status)
  if request.response_compressed then stream:compress(request.response_compressed.value) end
  if request.orca_per_query_report then
    stream:set_trailer("endpoint-load-metrics-bin", load_report(request.orca_per_query_report):bytes())
  end
  return {
    payload = payload(request.response_type, request.response_size),
    server_id = request.fill_server_id and server_id or nil,
  }
end

function service.CacheableUnaryCall(stream)
  stream:set_header("cache-control", "max-age=60, public")
  return { payload = { body = ("%.9f"):format(tidewire.now()) } }
end

function service.StreamingOutputCall(stream, request)
  echo_metadata(stream)
  end_as_asked(request.response_status)
  answer(stream, request)
end

function service.StreamingInputCall(stream)
  local sum = 0
  for request in stream:messages() do
    check_compression(stream, request.expect_compressed)
    if request.payload then sum = sum + #request.payload.body end
  end
  return { aggregated_payload_size = sum }
end

-- What the server as a whole reports. One stream at a time may say what that is; the others wait for its end.
local report = tidewire.message.new "xds.data.orca.v3.OrcaLoadReport"
local reporter = tidewire.semaphore(1)

local function report_as_asked(stream, wanted)
  if not stream.ctx.reports then
    reporter:acquire()
    stream.ctx.reports = true
  end
  report = load_report(wanted)
end

function service.FullDuplexCall(stream)
  echo_metadata(stream)
  stream:send_headers()
  for request in stream:messages() do
    end_as_asked(request.response_status)
    if request.orca_oob_report then report_as_asked(stream, request.orca_oob_report) end
    answer(stream, request)
  end
end

function service.HalfDuplexCall(stream)
  local requests = {}
  for request in stream:messages() do requests[#requests + 1] = request end
  for _, request in ipairs(requests) do answer(stream, request) end
end

-- xds.service.orca.v3.OpenRcaService
function service.StreamCoreMetrics(stream, request)
  local interval = request.report_interval
  local seconds = interval and tonumber(interval.seconds) + interval.nanos / 1e9 or 1
  while stream:send(report) do tidewire.sleep(math.max(seconds, 0.1)) end
end

return service
