-- The pages under docs/ and the README: every block of code in them is tried.
local gateway = require "support.gateway"
local page = require "support.page"
local examples = require "support.examples"

local pages = { "README.md", "docs/tutorial.md", "docs/how-to.md", "docs/reference/lua.md", "docs/reference/cli.md" }
local tried = { lua = true, conf = true, sh = true, proto = true, python = true }

describe("the documentation", function()
  after_each(gateway.stop_all)

  for _, path in ipairs(pages) do
    it("says of every block of " .. path .. " how it is tried", function()
      for _, block in ipairs(page.read(path)) do
        assert(not tried[block.language] or block.mark, page.name(block) .. ": a block without a mark")
      end
    end)
  end
end)

describe("docs/reference/lua.md", function()
  local results

  setup(function()
    results = examples.run "docs/reference/lua.md"
    gateway.stop_all()
  end)

  for _, block in ipairs(page.read "docs/reference/lua.md") do
    local kind = block.mark and block.mark.kind
    if kind == "snippet" or kind == "script" then
      it("shows what happens at line " .. block.line .. " (" .. block.heading .. ")", function()
        local result
        for _, one in ipairs(results) do
          if one.block.line == block.line then result = one end
        end
        local told = table.concat(result.printed, "\n") .. "\n" .. table.concat(result.errors, "\n")
        if result.status then
          assert.equal(block.mark.status or "OK", result.status.code, (result.status.text or "") .. "\n" .. told)
          if block.mark.replies then assert.equal(tonumber(block.mark.replies), result.status.replies) end
        end
        assert.equal(#result.expected, #result.printed, told)
        for n, shown in ipairs(result.expected) do
          assert(examples.is_like(result.printed[n], shown),
            "the page shows: " .. shown .. "\nit printed:     " .. result.printed[n])
        end
      end)
    end
  end
end)

-- ---- links

-- What GitHub makes of a heading.
local function slug(heading)
  return (heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-"))
end

local function anchors_of(path)
  local anchors = {}
  for line in io.lines(path) do
    local heading = line:match "^#+ (.*)$"
    if heading then anchors[slug(heading)] = true end
  end
  return anchors
end

describe("the links of", function()
  for _, path in ipairs(pages) do
    it(path .. " lead somewhere", function()
      local folder = path:match "^(.*/)" or ""
      local text = assert(io.open(path)):read("*a"):gsub("\n```.-\n```", "")
      for link in text:gmatch "%]%(([^)]+)%)" do
        local file, anchor = link:match "^([^#]*)#?(.*)$"
        if not link:find "^https?:" then
          local target = file == "" and path or folder .. file
          assert(io.open(target), path .. ": " .. link .. " leads nowhere")
          assert(anchor == "" or anchors_of(target)[anchor], path .. ": " .. link .. " leads nowhere")
        end
      end
    end)
  end
end)
