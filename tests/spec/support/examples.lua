-- Runs the Lua examples of a page, all in one gateway, each with a service of its own:
--
--   <!-- test: types -->            the page's .proto file, with one service that every example gets a copy of
--   <!-- test: snippet [METHOD] --> the body of a handler of that method, Watch unless named
--   <!-- test: script [METHOD] -->  a whole script; METHOD is then called
--   <!-- test: filter METHOD -->    a whole script before an upstream "behind", which answers each message with itself
--
-- Examples that open streams find the upstream "stock", and the peer "depot": the script below, which answers the
-- page's own service.
--
-- What an example prints must be what stands behind `-->` in it, line by line; `…` is any text. Its call must end with
-- status=NAME, OK unless said otherwise.
local json = require "cjson"
local gateway = require "support.gateway"
local client = require "support.client"
local page = require "support.page"

local examples = {}

-- What the client of an example sends: orders with the fields 1 (id) and 2 (customer) and so on, as the page says.
local first = "\8\7\18\3ann\34\7\10\3tea\16\2\42\12\10\6region\18\2eu"
local second = "\8\8\18\3bob"

local stock = [[
local tidewire = require "tidewire"
return {
  Place = function(stream, order)
    if order.id == 0 then tidewire.fail("NOT_FOUND", "no such order") end
    stream:set_header("x-stock", "north")
    return { id = order.id + 100, customer = stream:metadata "x-user" }
  end,
  Watch = function(stream) for i = 1, 3 do stream:send { id = i } end end,
  Import = function(stream)
    local count = 0
    for _ in stream:messages() do count = count + 1 end
    return { id = count }
  end,
  Talk = function(stream) for order in stream:messages() do stream:send { id = order.id * 10 } end end,
}
]]

local function expected_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    local value = line:match "%-%->%s?(.-)%s*$"
    if value then lines[#lines + 1] = value end
  end
  return lines
end

local function wrap(block, is_streaming)
  return "local tidewire = require \"tidewire\"\nreturn { "
    .. (block.mark.words[1] or "Watch") .. " = function(stream, " .. (is_streaming and "_" or "order") .. ")\n"
    .. block.text .. "\nend }\n"
end

-- The .proto text: the page's types, and a copy of its service for each example.
local function services(types, count)
  local text, service = types:gsub("service%s+Shop%s+(%b{})", ""), types:match "service%s+Shop%s+(%b{})"
  local parts = { (text), "service Shop " .. service .. "\n" }
  for i = 1, count do parts[#parts + 1] = "service Shop" .. i .. " " .. service .. "\n" end
  return table.concat(parts), service
end

local function collect(path)
  local types, list = nil, {}
  for _, block in ipairs(page.read(path)) do
    local kind = block.mark and block.mark.kind
    if kind == "types" then types = block.text end
    local is_example = kind == "snippet" or kind == "script" or kind == "filter"
    if block.language == "lua" and is_example then list[#list + 1] = block end
  end
  return types, list
end

local function method_of(block, service)
  local method = block.mark.words[1] or "Watch"
  return method, service:match("rpc%s+" .. method .. "%s*%(%s*stream") ~= nil
end

-- Calls the example's method: { code =, text =, replies = }
local function call(channel, i, block, service)
  local method, is_streaming = method_of(block, service)
  local stream = channel:open("shop.Shop" .. i .. "/" .. method,
    { bytes = true, timeout = gateway.patience, metadata = { ["x-user"] = "ann" } })
  stream:send(first)
  if is_streaming then stream:send(second) end
  stream:half_close()
  local replies = stream:receive_all()
  local status = stream:status()
  status.replies = #replies.messages
  return status
end

local function read_log(text)
  local printed = {}
  for line in text:gmatch "[^\n]+" do
    local fine, entry = pcall(json.decode, line)
    if fine and entry.script and entry.text then
      local lines = printed[entry.script] or {}
      printed[entry.script] = lines
      lines[#lines + 1] = { level = entry.level, text = entry.text }
    end
  end
  return printed
end

-- The server behind the filters.
local behind = [[
local function echo(stream) for message in stream:messages() do stream:send(message) end end
local function echo_one(_, message) return message end
return { Talk = echo, Watch = echo_one, Place = echo_one }
]]

local function start_behind(list, proto)
  local config = { 'workers = 1\nproto = { "page.proto" }\nlisten "127.0.0.1:0" { peers = on }\n'
    .. 'node = "node-2"\npeer "front" { id = "node-1" }\nservice "shop.Shop" { script = "stock.lua" }\n' }
  for i, block in ipairs(list) do
    if block.mark.kind == "filter" then
      config[#config + 1] = ('service "shop.Shop%d" { script = "behind.lua" }\n'):format(i)
    end
  end
  local server = gateway.start { scripts = { ["behind.lua"] = behind, ["stock.lua"] = stock },
    protos = { ["page.proto"] = proto }, config = table.concat(config) }
  return ('node = "node-1"\nupstream "behind" { target = { "%s" } }\npeer depot { id = "node-2"  address = "%s" }\n')
    :format(server.address, server.address)
end

-- For each example: { block =, status = { code =, text =, replies = }, expected =, printed = { text … }, errors = }
function examples.run(path)
  local types, list = collect(path)
  local scripts = { ["stock.lua"] = stock }
  local config = { 'workers = 1\nproto = { "page.proto" }\nlog { level = info  format = json  access = off }\n'
    .. 'listen "127.0.0.1:0" { }\nlisten "unix:stock.sock" { }\nupstream "stock" { target = "unix:stock.sock" }\n'
    .. 'shared_dict counters { size = 1MiB }\nservice "shop.Shop" { script = "stock.lua" }\n' }
  local proto, service = services(types, #list)
  config[#config + 1] = start_behind(list, proto)
  for i, block in ipairs(list) do
    local _, is_streaming = method_of(block, service)
    scripts["e" .. i .. ".lua"] = block.mark.kind == "snippet" and wrap(block, is_streaming) or block.text
    config[#config + 1] = ('service "shop.Shop%d" { script = "e%d.lua" %s %s }\n'):format(i, i,
      block.mark.int64 and "int64 = " .. block.mark.int64 or "",
      block.mark.kind == "filter" and 'upstream = "behind"' or "")
  end
  local gw = gateway.start { scripts = scripts, protos = { ["page.proto"] = proto }, config = table.concat(config) }
  local channel = client.connect(gw.address)
  local results = {}
  for i, block in ipairs(list) do
    local result = { block = block, expected = expected_lines(block.text), printed = {}, errors = {} }
    if block.mark.kind == "snippet" or block.mark.words[1] then result.status = call(channel, i, block, service) end
    results[i] = result
  end
  channel:disconnect()
  gw:signal "TERM"
  gw:wait_exit()
  local printed = read_log(gw:log())
  for i, result in ipairs(results) do
    for _, line in ipairs(printed["e" .. i .. ".lua"] or {}) do
      local into = line.level == "error" and result.errors or result.printed
      into[#into + 1] = line.text
    end
  end
  return results
end

-- Whether the text is what the page shows.
function examples.is_like(text, shown)
  local pattern = shown:gsub("…", "\1"):gsub("%p", "%%%0"):gsub("\1", ".*")
  return text:find("^" .. pattern .. "$") ~= nil
end

return examples
