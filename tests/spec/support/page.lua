-- The fenced blocks of a page of documentation, and what the comment before each says how to try it:
--
--   <!-- test: KIND words… name=value … -->
--   ```lua
local page = {}

local function parse_mark(text)
  local mark = { words = {} }
  for word in text:gmatch "%S+" do
    local name, value = word:match "^([%w_]+)=(.*)$"
    if name then
      mark[name] = value
    elseif not mark.kind then
      mark.kind = word
    else
      mark.words[#mark.words + 1] = word
    end
  end
  return mark
end

-- A list of blocks: { page =, line =, language =, text =, heading =, mark = { kind =, words =, name = value … } }; the
-- mark may be nil.
function page.read(path)
  local blocks, heading, mark, open = {}, "", nil, nil
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    if open then
      if line == open.fence then
        open.text = table.concat(open.lines, "\n") .. "\n"
        blocks[#blocks + 1], open = open, nil
      else
        open.lines[#open.lines + 1] = line
      end
    else
      local fence, language = line:match "^(```+)(%w*)%s*$"
      if fence then
        open = { page = path, line = number, fence = fence, language = language, mark = mark, heading = heading,
          lines = {} }
      else
        heading = line:match "^#+ (.*)$" or heading
      end
      local text = line:match "^<!%-%- test: (.-) %-%->$"
      mark = text and parse_mark(text) or nil
    end
  end
  assert(not open, path .. ": a block has no end")
  return blocks
end

function page.name(block) return block.page .. ":" .. block.line end

return page
