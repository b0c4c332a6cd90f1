-- A log monitor: the client sends a filter and gets the entries that match it; a new filter takes the old one's place
-- while entries flow. The entries are made up here; a real service would publish its own to the topic.
local tidewire = require "tidewire"

local entries = tidewire.topic("log entries", { type = "logger.LogEntry" })

local function has_labels(entry, labels)
  for name, value in pairs(labels) do
    if entry.labels[name] ~= value then return false end
  end
  return true
end

local function matches(stream, entry)
  local filter = stream.ctx.filter
  return entry.level >= filter.minimum_level
    and (filter.component == "" or entry.component == filter.component)
    and (filter.contains == "" or entry.message:find(filter.contains, 1, true) ~= nil)
    and has_labels(entry, filter.labels)
end

local function listen(stream)
  entries:subscribe(stream, { filter = matches, policy = "drop_old" })
end

local monitor = {}

monitor.Monitor = {
  on_message = function(stream, filter)
    stream.ctx.filter = filter
    listen(stream)
  end,

  on_half_close = function(stream)
    stream:close()
  end,

  -- Open streams go over to a new version of this script, which looks at entries in its own way.
  on_reload = function(stream)
    if stream.ctx.filter then listen(stream) end
  end,
}

local samples = {
  { level = "LEVEL_DEBUG", component = "cache", message = "looked up session 4711" },
  { level = "LEVEL_INFO", component = "http", message = "GET / 200" },
  { level = "LEVEL_WARN", component = "database", message = "slow query: 1.2 s" },
  { level = "LEVEL_INFO", component = "http", message = "GET /login 302" },
  { level = "LEVEL_ERROR", component = "database", message = "connection lost" },
}
local count = 0

local function publish_sample()
  local sample = samples[count % #samples + 1]
  count = count + 1
  entries:publish {
    timestamp = { seconds = tidewire.time() },
    level = sample.level,
    component = sample.component,
    message = sample.message,
    labels = { region = count % 2 == 0 and "eu" or "us" },
  }
end

-- Code at the top runs in every worker; the entries shall be made once in the process.
tidewire.timer.every(0.2, publish_sample, { worker = 0 })

return monitor
