-- Before an upstream, whatever its messages are: numbers that could be a credit card's do not get through, in either
-- direction, in no text of a message, however deep; keys of maps are left as they are. Messages without one pass with
-- the bytes that they came with. Not for services with `int64 = string`, whose numbers look like texts.
local tidewire = require "tidewire"

local function without_cards(text)
  return (text:gsub("%f[%d]%d[%d%- ]+%d%f[%D]", function(number)
    local digits = select(2, number:gsub("%d", ""))
    return digits >= 13 and "[card]" or nil -- however many: other numbers may stand beside the card's
  end))
end

-- `value` is a message, a list or a map.
local function hide_in(value)
  local each = tidewire.message.type(value) and tidewire.message.pairs or pairs
  for key, inner in each(value) do
    if type(inner) == "string" then
      local text = without_cards(inner)
      if text ~= inner then value[key] = text end
    elseif type(inner) == "table" or tidewire.message.type(inner) then
      hide_in(inner)
    end
  end
end

local function hide(_, message) hide_in(message) end

return { ["*"] = { on_request = hide, on_response = hide } }
