-- Before an upstream: lets in who shows a token that is known, and tells the upstream who it is. The upstream never
-- hears of anybody else, and sees no token.
local tidewire = require "tidewire"

-- In earnest these come from where tokens are kept: `tidewire.call` may ask a server here, a call waits for the answer.
local users = { ["token-of-ann"] = "ann", ["token-of-bob"] = "bob" }

local auth = {}

auth["*"] = {
  on_open = function(stream)
    local token = (stream:metadata "authorization" or ""):match "^Bearer (.+)$"
    local user = users[token or ""] or tidewire.fail("UNAUTHENTICATED", "no such token")
    stream.upstream:remove_header "authorization"
    stream.upstream:set_header("x-user", user) -- whatever the client has said itself
  end,
}

return auth
