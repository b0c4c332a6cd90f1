-- The numbers that a gateway shows at its admin address: the last one that its log names.
--
--   local gw = gateway.start { config = 'admin "127.0.0.1:0" { }' }
--   metrics.read(gw):sum("grpc_server_started_total", { grpc_method = "Greet" })
--   metrics.await(gw, "tidewire_streams_open", nil, 0)
local gateway = require "support.gateway"
local http1 = require "support.http1"
local process = require "support.process"

local metrics = {}
local page = {}
page.__index = page

function metrics.address(gw)
  local address
  for one in gw:log():gmatch '%f[%a]serving metrics on ([^\n"]+)' do address = one end
  return address
end

-- The answer to a request, on a connection of its own; `wire` for one that is there.
function metrics.ask(gw, path, verb, wire)
  local own = wire or http1.connect(metrics.address(gw))
  own:send(("%s %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(verb or "GET", path))
  local answer = own:answer(verb == "HEAD")
  if not wire then own:close() end
  return answer
end

local function unescape(text) return (text:gsub("\\(.)", { n = "\n", ["\\"] = "\\", ['"'] = '"' })) end

local function parse_labels(text)
  local labels, at = {}, 1
  while at <= #text do
    local name, value = text:match('^([%a_][%w_]*)="()', at)
    assert(name, text)
    local stop = value
    while text:sub(stop, stop) ~= '"' do stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1) end
    assert(not labels[name] and stop <= #text, text)
    labels[name] = unescape(text:sub(value, stop - 1))
    at = text:match("^,()", stop + 1) or stop + 1
  end
  return labels
end

-- Strict: a family is told once, its help and its type first, and no sample comes twice.
function metrics.parse(text)
  local self = setmetatable({ families = {}, samples = {}, text = text }, page)
  local family, seen = nil, {}
  assert(text:sub(-1) == "\n")
  for line in text:gmatch "([^\n]*)\n" do
    local kind, name, rest = line:match "^# (%u+) ([%a_:][%w_:]*) (.+)$"
    if kind == "HELP" then
      assert(not self.families[name], line)
      family = { name = name, help = rest }
      self.families[name] = family
      self.families[#self.families + 1] = family
    elseif kind then
      assert(kind == "TYPE" and family.name == name and not family.type, line)
      family.type = rest
    else
      local key, value = line:match "^(.*) (%d+%.?%d*)$"
      assert(key and not seen[key], line)
      seen[key] = true
      local sample, labels = key:match "^([%w_:]+){(.*)}$"
      sample = sample or key
      assert(family.type and sample == family.name, line)
      self.samples[#self.samples + 1] = { name = sample, labels = parse_labels(labels or ""), value = tonumber(value) }
    end
  end
  return self
end

local function has(sample, labels)
  for name, value in pairs(labels or {}) do
    if sample.labels[name] ~= value then return false end
  end
  return true
end

-- Of all samples that have these labels; nil when there is none.
function page:sum(name, labels)
  local sum
  for _, sample in ipairs(self.samples) do
    if sample.name == name and has(sample, labels) then sum = (sum or 0) + sample.value end
  end
  return sum
end

function metrics.read(gw)
  local answer = metrics.ask(gw, "/metrics")
  assert(answer and answer.status == 200)
  return metrics.parse(answer.body)
end

-- Until that sum is `wanted`: what a client has seen is told to the counters a moment later.
function metrics.await(gw, name, labels, wanted)
  local last
  process.await(gateway.patience, function()
    last = metrics.read(gw):sum(name, labels)
    return last == wanted
  end)
  if last == wanted then return end
  local said = {}
  for key, value in pairs(labels or {}) do said[#said + 1] = key .. "=" .. value end
  error(("%s{%s} is %s, not %s"):format(name, table.concat(said, ","), tostring(last), tostring(wanted)), 2)
end

return metrics
