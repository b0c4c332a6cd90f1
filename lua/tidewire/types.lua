---@meta tidewire
-- What `require "tidewire"` gives, for editors (LuaLS): nothing loads this file.
-- luacheck: ignore 212 241 631

---@alias tidewire.Code
---| "OK" | "CANCELLED" | "UNKNOWN" | "INVALID_ARGUMENT" | "DEADLINE_EXCEEDED" | "NOT_FOUND" | "ALREADY_EXISTS"
---| "PERMISSION_DENIED" | "RESOURCE_EXHAUSTED" | "FAILED_PRECONDITION" | "ABORTED" | "OUT_OF_RANGE" | "UNIMPLEMENTED"
---| "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS" | "UNAUTHENTICATED"

---A protobuf message: its fields read and write like a table's.
---@class tidewire.Message
---@field [string] any
local Message = {}
---Whether a field is set.
---@param field string
---@return boolean
function Message:has(field) end
---The name of the field of a oneof that is set.
---@param oneof string
---@return string?
function Message:which(oneof) end
---A field's value, or its declared default.
---@param field string
---@return any
function Message:get(field) end
---@param field string
function Message:clear(field) end
---`for name, value in message:pairs() do`: the fields that are set.
function Message:pairs() end
---@return table<string, any>
function Message:totable() end
---@return string
function Message:json() end
---@return string wire bytes
function Message:bytes() end
---@return tidewire.Message
function Message:copy() end
---@return string "pkg.Type"
function Message:type() end

---What can be sent: a message object or a table of its fields.
---@alias tidewire.Sendable tidewire.Message | table<string, any>

---What a hook or function returns: nothing, `false` or `tidewire.DROP` send nothing; a list is sent one by one.
---@alias tidewire.Reply tidewire.Sendable | tidewire.Sendable[] | false | nil

---@class tidewire.Handle
local Handle = {}
---Stops the timer, or ends the subscription. A timer's function that runs goes on.
function Handle:cancel() end

---What `spawn` returns.
---@class tidewire.Spawned
local Spawned = {}
---Raises tidewire.cancelled in its wait.
function Spawned:cancel() end
---Waits for the end of its function: true and what that has returned; false and its error; nil and why there is neither.
---@param timeout? number
---@return boolean? returned
---@return any ... "cancelled" or "timeout" behind nil
function Spawned:wait(timeout) end

---@class tidewire.Stream
---@field ctx table the script's own table, empty at the start
---@field id integer
---@field service string "pkg.Service"
---@field method string "Method"
---@field peer string "127.0.0.1:4711"
---@field protocol string "grpc", "grpc-web", "connect" or "websocket"
---@field tls? tidewire.Tls
---@field node? string the id of the peer that has opened the stream; nil for every other client
---@field draining boolean the process is about to end
---@field compressed boolean whether the message that its handler was given last came compressed
---@field upstream tidewire.ClientStream the same call to the service's `upstream`, opened when it is first used
local Stream = {}

---A stream that a script has opened.
---@class tidewire.ClientStream: tidewire.Stream

---@class tidewire.Tls
---@field version string
---@field cipher string
---@field protocol? string
---@field server_name? string
---@field client_subject? string
---@field client_common_name? string
---@field client_fingerprint? string
---@field client_names? string[]

---Waits for the next message. `nil` at half-close; `nil, "timeout"`; `nil, "closed"` on another's stream that has ended.
---Of a stream that a script has opened `nil` is its end, of which `status()` tells.
---@param timeout? number seconds
---@return tidewire.Message? message
---@return "timeout"|"closed"|nil why
function Stream:recv(timeout) end
---`for message in stream:messages() do`, until half-close.
---@return fun(stream: tidewire.Stream): tidewire.Message?
---@return tidewire.Stream
function Stream:messages() end
---Waits while the peer does not keep up.
---@param message tidewire.Sendable
---@param timeout? number seconds
---@return true? sent
---@return "closed"|"timeout"|nil why
function Stream:send(message, timeout) end
---Never waits.
---@param message tidewire.Sendable
---@return true? sent
---@return "closed"|"full"|nil why
function Stream:try_send(message) end
---Whether what is sent from now on is compressed, where that makes it smaller. To be said before the headers have left.
---@param on? boolean true unless given
---@return boolean compressing false where the client does not take it, or the headers have left without saying so
function Stream:compress(on) end
---Ends the call after everything that was accepted has been sent.
---@param code? tidewire.Code
---@param text? string
---@param details? tidewire.Message[]
function Stream:close(code, text, details) end
---Ends the call at once: what is queued is dropped.
---@param code? "CANCELLED"|"UNAVAILABLE"|"RESOURCE_EXHAUSTED"|"PERMISSION_DENIED"|"INTERNAL"
function Stream:reset(code) end
---The first value of a name, or, without one, all names with their values. Values of `-bin` names are raw bytes.
---@param name string
---@return string?
---@overload fun(self: tidewire.Stream): table<string, string[]>
function Stream:metadata(name) end
---@param name string
---@return string[]
function Stream:metadata_all(name) end
---Filters, in on_open: the upstream that gets the call.
---@param name string one of the config's
function Stream:set_upstream(name) end
---@param name string
---@param value string
function Stream:set_header(name, value) end
---@param name string
---@param value string
function Stream:add_header(name, value) end
function Stream:send_headers() end
---Response headers do not leave when the handler waits, only with the first message or at `send_headers()`.
function Stream:hold_headers() end
---Of a `stream.upstream` that is not open yet.
---@param name string
function Stream:remove_header(name) end
---Of a stream that a script has opened: nothing more will be sent.
function Stream:half_close() end
---Of a stream that a script has opened: ends it, CANCELLED.
function Stream:cancel() end
---Of a stream that a script has opened: waits for the response headers. `nil, "closed"`: it has ended without any.
---@return table<string, string[]>?
---@return "closed"|"gap"|"loading"|nil why "gap": behind that position something is no longer kept; "loading": a bus with `jetstream` brings the history, and then it begins
function Stream:headers() end
---Of a stream that a script has opened: waits for its end.
---@return tidewire.Code code
---@return string text
---@return tidewire.Message[]? details
function Stream:status() end
---Of a stream that a script has opened: waits for its end.
---@return table<string, string[]>
function Stream:trailers() end
---@param name string
---@param value string
function Stream:set_trailer(name, value) end
---@param name string
---@param value string
function Stream:add_trailer(name, value) end
---Seconds until the deadline.
---@return number?
function Stream:remaining() end
---@param seconds number
---@param f fun(stream: tidewire.Stream)
---@return tidewire.Handle
function Stream:after(seconds, f) end
---Never overlaps itself.
---@param seconds number
---@param f fun(stream: tidewire.Stream)
---@return tidewire.Handle
function Stream:every(seconds, f) end
---@param f fun(stream: tidewire.Stream, ...: any)
---@param ... any
---@return tidewire.Spawned
function Stream:spawn(f, ...) end
---Runs last, when the call is over; may not wait.
---@param f fun(stream: tidewire.Stream, code: tidewire.Code, text: string)
function Stream:on_close(f) end
---Messages and bytes that are queued towards the peer.
---@return integer messages
---@return integer bytes
function Stream:pending() end
---Keeps a call of a table of hooks open until it is closed.
function Stream:hold() end
---Waits until the call is over.
---@return true
function Stream:wait() end

---@class tidewire.Hooks
---@field on_open? fun(stream: tidewire.Stream): tidewire.Reply
---@field on_message? (fun(stream: tidewire.Stream, message: tidewire.Message): tidewire.Reply) | tidewire.Projection
---@field on_request? (fun(stream: tidewire.Stream, message: tidewire.Message): tidewire.Reply) | tidewire.Projection filters
---@field on_response? (fun(stream: tidewire.Stream, message: tidewire.Message): tidewire.Reply) | tidewire.Projection filters
---@field on_half_close? fun(stream: tidewire.Stream): tidewire.Reply
---@field on_writable? fun(stream: tidewire.Stream)
---@field on_drain? fun(stream: tidewire.Stream)
---@field on_close? fun(stream: tidewire.Stream, code: tidewire.Code, text: string)
---@field on_reload? true | fun(stream: tidewire.Stream) open streams of older scripts come over to these
---@field run? fun(stream: tidewire.Stream, request?: tidewire.Message): tidewire.Reply

---One entry of the table that a script returns.
---@alias tidewire.Entry tidewire.Hooks | fun(stream: tidewire.Stream, request?: tidewire.Message): tidewire.Reply

---@class tidewire.Projection

---@class tidewire.Topic
local Topic = {}

---@class tidewire.SubscribeOptions
---@field filter? (fun(stream: tidewire.Stream, message: tidewire.Message): any) | tidewire.Projection | table<string, any>
---@field key? string the field whose values `coalesce` tells messages apart by
---@field echo? boolean `false`: not what this stream publishes itself
---@field queue? integer messages that may wait for the subscriber; 256
---@field policy? "close"|"drop_old"|"drop_new"|"coalesce"|"block" what a full queue means; "close"
---@field timeout? number with `block`: seconds that it may hold up publishers; 10
---@field show? any a plain value: what topic:members() tells of it
---@field since? "all"|integer|string replays: all that is kept, the last n, or what came after a position

---@param subject tidewire.Stream | fun(message: tidewire.Message)
---@param options? tidewire.SubscribeOptions
---@return tidewire.Handle? subscription
---@return "closed"|nil why
function Topic:subscribe(subject, options) end
---@param message tidewire.Sendable
---@return integer reached subscribers of the process
---@return integer? position of the message, where a history is kept
function Topic:publish(message) end
---Subscribers in the process.
---@return integer
function Topic:count() end
---What has become of its messages, over all workers, since the topic began.
---@return table<string, integer>
function Topic:counters() end
---What the subscribers of all workers show of themselves.
---@return any[]
function Topic:members() end
---Hears who comes and goes, in this worker.
---@param f fun(event: "join"|"leave"|"missed", member: any)
---@return tidewire.Handle
function Topic:watch(f) end
---Of the newest message; nothing where no history is kept.
---@return integer?
function Topic:position() end

---A queue of values between the coroutines of a worker.
---@class tidewire.Channel
local Channel = {}
---Waits while it is full.
---@param value any but nil
---@param timeout? number seconds
---@return true? is_put
---@return "timeout"|"closed"|nil why
function Channel:put(value, timeout) end
---Waits while it is empty.
---@param timeout? number seconds
---@return any value
---@return "timeout"|"closed"|nil why
function Channel:get(timeout) end
---`for value in channel:values() do`, until it is closed and empty.
---@return fun(): any
function Channel:values() end
---Values that are queued.
---@return integer
function Channel:count() end
---Nothing can be put any more; what is queued can still be got.
function Channel:close() end
---What a shared_dict stores: a string, number or boolean, or an integer of 64 bits that is no number.
---@alias tidewire.Shareable string|number|boolean|ffi.cdata*

---A `shared_dict` of the config.
---@class tidewire.Dict
local Dict = {}
---@param key string|number
---@return tidewire.Shareable? value
---@return integer|string|nil flags that are not 0, or why there is no value
function Dict:get(key) end
---As get, what has expired included as long as it is there.
---@param key string|number
---@return tidewire.Shareable? value
---@return integer|string|nil flags
---@return boolean? is_stale
function Dict:get_stale(key) end
---@param key string|number
---@param value tidewire.Shareable? nil deletes
---@param seconds? number until it expires; 0 or none: never
---@param flags? integer of 32 bits, the script's own
---@return boolean? success
---@return "no memory"|string|nil why
---@return boolean? forcible others that had not expired had to go
function Dict:set(key, value, seconds, flags) end
---As set, but "no memory" instead of letting others go.
---@param key string|number
---@param value tidewire.Shareable?
---@param seconds? number
---@param flags? integer
---@return boolean? success
---@return "no memory"|string|nil why
function Dict:safe_set(key, value, seconds, flags) end
---As set, if the key is not there.
---@param key string|number
---@param value tidewire.Shareable
---@param seconds? number
---@param flags? integer
---@return boolean? success
---@return "exists"|"no memory"|string|nil why
---@return boolean? forcible
function Dict:add(key, value, seconds, flags) end
---@param key string|number
---@param value tidewire.Shareable
---@param seconds? number
---@param flags? integer
---@return boolean? success
---@return "exists"|"no memory"|string|nil why
function Dict:safe_add(key, value, seconds, flags) end
---As set, if the key is there.
---@param key string|number
---@param value tidewire.Shareable
---@param seconds? number
---@param flags? integer
---@return boolean? success
---@return "not found"|"no memory"|string|nil why
---@return boolean? forcible
function Dict:replace(key, value, seconds, flags) end
---@param key string|number
---@param number number|ffi.cdata*
---@param init? number|ffi.cdata* what a key that is not there begins with
---@param seconds? number until it then expires
---@return number|ffi.cdata*|nil sum
---@return "not found"|"not a number"|"out of range"|"no memory"|string|nil why
---@return boolean? forcible where there is an init
function Dict:incr(key, number, init, seconds) end
---@param key string|number
function Dict:delete(key) end
---@param key string|number
---@return number? seconds 0: never expires
---@return "not found"|string|nil why
function Dict:ttl(key) end
---@param key string|number
---@param seconds number 0: never
---@return boolean? success
---@return "not found"|string|nil why
function Dict:expire(key, seconds) end
---@param key string|number
---@param value string|number|ffi.cdata*
---@return integer? length of the list
---@return "no memory"|"value not a list"|string|nil why
function Dict:lpush(key, value) end
---@param key string|number
---@param value string|number|ffi.cdata*
---@return integer? length of the list
---@return "no memory"|"value not a list"|string|nil why
function Dict:rpush(key, value) end
---@param key string|number
---@return string|number|ffi.cdata*|nil value
---@return "value not a list"|string|nil why
function Dict:lpop(key) end
---@param key string|number
---@return string|number|ffi.cdata*|nil value
---@return "value not a list"|string|nil why
function Dict:rpop(key) end
---@param key string|number
---@return integer? length 0 where there is no list
---@return "value not a list"|string|nil why
function Dict:llen(key) end
---@param most? integer 1024; 0: all
---@return string[]
function Dict:get_keys(most) end
---Lets everything expire.
function Dict:flush_all() end
---Removes what has expired.
---@param most? integer 0 or none: all
---@return integer removed
function Dict:flush_expired(most) end
---@return integer bytes
function Dict:capacity() end
---@return integer bytes
function Dict:free_space() end

---How many coroutines of a worker may do something at once.
---@class tidewire.Semaphore
local Semaphore = {}
---Waits while as many hold it as may.
---@param timeout? number seconds
---@return true? is_held
---@return "timeout"|"closed"|nil why
function Semaphore:acquire(timeout) end
---What a stream's code holds is released at the stream's end anyway.
function Semaphore:release() end
---How many could acquire it now.
---@return integer
function Semaphore:count() end

---How often something may happen for each key, over all workers.
---@class tidewire.Limit
local Limit = {}
---Never waits.
---@param key string|number
---@param n? number how many at once; 1
---@return true? is_taken
---@return "limited"|nil why
---@return number? seconds until they could be taken
function Limit:take(key, n) end

---@class tidewire.JobOptions
---@field worker? integer only in this worker; 0 is the first

---@class tidewire.SpawnOptions: tidewire.JobOptions
---@field serve? boolean until the generation's last stream has ended, not only until the next reload

local tidewire = {}

tidewire.DROP = {}
---What a wait raises when its stream is over.
tidewire.cancelled = {}
---@type table<tidewire.Code, tidewire.Code>
tidewire.status = {}
---By the names of the config's `shared_dict` sections.
---@type table<string, tidewire.Dict>
tidewire.shared = {}
---@type { id: integer, count: integer }
tidewire.worker = {}

---Raises: ends the call with that status.
---@param code tidewire.Code
---@param text? string
---@param details? tidewire.Message[]
function tidewire.fail(code, text, details) end
---@param name string
---@param options? { type?: string, history?: integer, ttl?: number, position?: string }
---@return tidewire.Topic
function tidewire.topic(name, options) end
---@param n integer values that may be queued; 0: who puts waits for who gets
---@return tidewire.Channel
function tidewire.channel(n) end
---@param n integer how many may hold it at once
---@return tidewire.Semaphore
function tidewire.semaphore(n) end
---@param options { name: string, rate: number, burst?: number, keys?: integer }
---@return tidewire.Limit
function tidewire.limit(options) end
---@param seconds number
function tidewire.sleep(seconds) end
---@param f fun()
---@param options? tidewire.SpawnOptions
---@return tidewire.Spawned
function tidewire.spawn(f, options) end
---@class tidewire.CallOptions
---@field metadata? table<string, string|string[]>
---@field timeout? number seconds
---@field detached? boolean does not end with the stream that opens it, and has no deadline of its own
---@field wait? boolean for a server as long as it takes, instead of failing while none can be reached
---@class tidewire.OpenOptions: tidewire.CallOptions
---@field reconnect? fun(stream: tidewire.ClientStream, attempt: integer): false? opens it again when it breaks

---Opens a stream to an upstream of the config, at once: faults show in `stream:status()`.
---@param upstream string
---@param method string "pkg.Service/Method"
---@param options? tidewire.OpenOptions
---@return tidewire.ClientStream
function tidewire.open(upstream, method, options) end
---One request, one reply.
---@param upstream string
---@param method string "pkg.Service/Method"
---@param request tidewire.Sendable
---@param options? tidewire.CallOptions
---@return tidewire.Message? reply
---@return tidewire.Code? code
---@return string? text
---@return tidewire.Message[]? details
function tidewire.call(upstream, method, request, options) end
---Another gateway: its streams and ours share one connection, whoever has made it.
---@class tidewire.Peer
---@field name string the config's
---@field id string its `node`
---@field connected boolean
local Peer = {}
---As `tidewire.open(peer.name, …)`. Waits for a connection from either side.
---@param method string "pkg.Service/Method"
---@param options? tidewire.OpenOptions
---@return tidewire.ClientStream
function Peer:open(method, options) end
---As `tidewire.call(peer.name, …)`.
---@param method string "pkg.Service/Method"
---@param request tidewire.Sendable
---@param options? tidewire.CallOptions
---@return tidewire.Message? reply
---@return tidewire.Code? code
---@return string? text
---@return tidewire.Message[]? details
function Peer:call(method, request, options) end
---@param name string of a `peer` of the config
---@return tidewire.Peer
function tidewire.peer(name) end
---What stands now in the whole process, by the names of the config's peers.
---@return table<string, tidewire.PeerCounts>
function tidewire.peers() end
---@class tidewire.PeerCounts
---@field id string
---@field connected boolean
---@field dialled boolean we have made that connection
---@field connections integer
---@field streams integer ours to it
---@field waiting integer streams that wait for a connection
---@field dials integer ever
---@field dial_failures integer ever
---@field accepted integer ever: connections that it has made
---@field refused integer ever: connections that it has made and we did not take
---@field simultaneous integer ever: how often both made one at the same time
---@field error? string why the last dial failed
---How the bus between gateways is doing; nothing where the config has no `bus`.
---@return tidewire.BusFigures?
function tidewire.bus() end
---@class tidewire.BusFigures
---@field connected boolean
---@field server? string whom it is connected to
---@field error? string why it is not
---@field hosts integer other gateways that are there
---@field sent integer ever: messages
---@field received integer ever: messages
---@field sent_bytes integer ever
---@field received_bytes integer ever
---@field waiting integer messages that are to be sent
---@field dropped_out integer ever: not sent, since too many waited or they were too large
---@field dropped_in integer ever: came faster than they could be taken
---@field rejected integer ever: came and were no messages of ours
---@field missed integer ever: were sent by others and never came
---@field connects integer ever
---@field losses integer ever: connections
---What stands now in this worker, by the names of the config's upstreams.
---@return table<string, tidewire.UpstreamCounts>
function tidewire.upstreams() end
---@class tidewire.UpstreamCounts
---@field connections integer
---@field streams integer
---@field waiting integer calls that wait for a connection
---@field calls integer ever
---@field retries integer ever
---@field refused integer ever: ended without a server
---@field targets table<string, tidewire.TargetCounts> by address
---@class tidewire.TargetCounts
---@field connections integer
---@field streams integer
---@field waiting integer
---@field calls integer ever
---@field failures integer ever
---@field dials integer ever
---@field dial_failures integer ever
---@field connecting boolean
---@field backoff boolean not dialled for a while, after a failure
---@field ejected boolean
---@field unhealthy boolean

---@return number seconds since 1970
function tidewire.now() end
---@return integer whole seconds since 1970
function tidewire.time() end
---@return number seconds of a clock that never jumps
function tidewire.monotonic() end
---The numbers of an enum's names and the names of its numbers.
---@param name string "pkg.Level"
---@return table<string, integer> | table<integer, string>
function tidewire.enum(name) end
---A hook or filter that gets fields as arguments and gives fields as results; no object is made.
---@param spec { fields: string[], reply?: string[] }
---@param f fun(stream: tidewire.Stream, ...: any): ...
---@return tidewire.Projection
function tidewire.project(spec, f) end
---@param service string "" is the whole server
---@param is_serving boolean
function tidewire.set_health(service, is_serving) end

tidewire.timer = {}
---@param seconds number
---@param f fun()
---@param options? tidewire.JobOptions
---@return tidewire.Handle
function tidewire.timer.at(seconds, f, options) end
---Never overlaps itself. One of load code ticks at whole multiples of its interval, whichever generation is in force.
---@param seconds number
---@param f fun()
---@param options? tidewire.JobOptions
---@return tidewire.Handle
function tidewire.timer.every(seconds, f, options) end

tidewire.log = {}
---@param text string
---@param fields? table<string, any>
function tidewire.log.debug(text, fields) end
---@param text string
---@param fields? table<string, any>
function tidewire.log.info(text, fields) end
---@param text string
---@param fields? table<string, any>
function tidewire.log.warn(text, fields) end
---@param text string
---@param fields? table<string, any>
function tidewire.log.error(text, fields) end

tidewire.json = {}

---A plain value (boolean, number, string, table, `tidewire.json.null`) as JSON text.
---@param value any
---@return string? text
---@return string? fault
function tidewire.json.encode(value) end

---@param text string
---@return any value nil when the text is no JSON; a null in it is `tidewire.json.null`
---@return string? fault
function tidewire.json.decode(text) end

---Marks a table as an array, so that it is written as `[]` even when it is empty.
---@param list? table
---@return table list the same
function tidewire.json.array(list) end

---What JSON's null is in Lua.
tidewire.json.null = {}

---Every method of message objects is a function here too, since a field wins over a method of the same name.
tidewire.message = {}
---@param type string "pkg.Type"
---@param from? table<string, any> | string | tidewire.Message fields, wire bytes, or a message to copy
---@return tidewire.Message
function tidewire.message.new(type, from) end
---@param value any
---@return string? type "pkg.Type", or nil for what is no message object
function tidewire.message.type(value) end

return tidewire
