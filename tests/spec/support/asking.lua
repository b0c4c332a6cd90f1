-- One of our own Python programs, started when first asked, ended with the spec file: a JSON line each way.
local json = require "cjson"
local process = require "support.process"
local gateway = require "support.gateway"

local asking = {}
asking.__index = asking

-- `arguments` a function that gives the program's name and arguments.
function asking.new(arguments)
  local self = setmetatable({ arguments = arguments }, asking)
  gateway.at_exit(function()
    if self.child then self.child:hang_up() end
  end)
  return self
end

-- An answer carries null where Lua has nothing.
local function without_null(value)
  if value == json.null then return nil end
  if type(value) == "table" then
    for k, v in pairs(value) do value[k] = without_null(v) end
  end
  return value
end

-- The answer's value, or nil and the word by which the program refused. A fault of the program is an error.
function asking:ask(request, more)
  if not self.child then
    local command = { "/usr/bin/python3" }
    for _, argument in ipairs(self.arguments()) do command[#command + 1] = argument end
    self.child = process.start(command, { talks = true,
      environment = { GRPC_VERBOSITY = "NONE", PYTHONDONTWRITEBYTECODE = "1" } })
  end
  for k, v in pairs(more or {}) do request[k] = v end
  request.seconds = request.seconds or gateway.patience
  self.child:write(json.encode(request) .. "\n")
  local line, why = self.child:read_line(request.seconds * 3 + 60)
  if not line then error("no answer to \"" .. request["do"] .. "\": " .. why, 0) end
  local answer = without_null(json.decode(line))
  if answer.fault then error(answer.fault, 0) end
  if answer.refused then return nil, answer.refused end
  return answer.value
end

return asking
