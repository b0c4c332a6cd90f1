-- logger.Logger as tests/interop/goa designs it, for the clients that Goa generates.
local tidewire = require "tidewire"

local logger = {}

local components = { "http", "database", [0] = "cache" }

local function entry(number)
  return {
    number = number,
    level = math.abs(number) % 5,
    component = components[math.abs(number) % 3],
    message_ = "entry “" .. number .. "”",
    labels = { parity = number % 2 == 0 and "even" or "odd" },
    written_at = ("2026-01-02T03:04:%02dZ"):format(math.abs(number) % 60),
    checksum = "\0\255" .. string.char(math.abs(number) % 256),
    load = number / 4,
  }
end

local function matches(filter, candidate)
  if candidate.level < filter.minimum_level then return false end
  if filter.component and candidate.component ~= filter.component then return false end
  for name, value in pairs(filter.labels) do
    if candidate.labels[name] ~= value then return false end
  end
  return true
end

-- In the form in which Goa's own servers send the errors of a design.
local function fail(name, text)
  local detail = tidewire.message.new("goapb.ErrorResponse", { name = name, id = "id-1", msg = text, temporary = true })
  tidewire.fail("NOT_FOUND", text, { detail })
end

-- Entries flow while filters come; each filter takes the place of the one before.
function logger.Monitor(stream)
  local filter = stream:recv()
  local number = 0
  while filter do
    number = number + 1
    local candidate = entry(number)
    if matches(filter, candidate) then stream:send(candidate) end
    local new, why = stream:recv(0.001)
    if why ~= "timeout" then filter = new end
  end
end

-- From the newest, number 0, back to older ones.
function logger.Recent(stream, request)
  if request.count > 1000 then fail("no_such_entry", "there are no " .. request.count .. " entries") end
  for number = 0, 1 - request.count, -1 do
    local candidate = entry(number)
    if not request.component or candidate.component == request.component then stream:send(candidate) end
  end
end

function logger.Store(stream)
  if stream:metadata "x-source" ~= "interop" then fail("no_such_entry", "nobody stores that") end
  local numbers = {}
  for stored in stream:messages() do numbers[#numbers + 1] = stored.number end
  return { count = #numbers, numbers = numbers }
end

function logger.Entry(_, request)
  if request.number == 404 then fail("no_such_entry", "there is no entry 404") end
  return entry(request.number)
end

return logger
