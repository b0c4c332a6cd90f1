// A grpc-js client of the examples: the exchanges that their own client programs make, and the cases around them.
//
// usage: node client.js ADDRESS PROTO_FOLDER…
// Prints a line for each case and "N passed, N failed" at the end.
'use strict';
const assert = require('assert');
const { once } = require('events');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, ...folders] = process.argv.slice(2);
const LIMIT = 4 * 1024 * 1024; // the gateway's limits.message, and grpc-js's own

const files = ['greet.proto', 'tutorial.proto', 'chat.proto', 'interop.proto', 'google_status.proto'];
const definition = loader.loadSync(files, { includeDirs: folders, keepCase: true, defaults: true, longs: String });
const types = grpc.loadPackageDefinition(definition);
const options = { 'grpc.max_metadata_size': 65536 };
const connect = (Service) => new Service(address, grpc.credentials.createInsecure(), options);
const greeter = connect(types.greet.GreetService);
const numbers = connect(types.tutorial.NumberService);
const chatter = connect(types.chat.ChatService);
const interop = connect(types.interop.Interop);

const patience = (seconds = 20) => ({ deadline: Date.now() + seconds * 1000 });

// A unary call as a promise of { reply, headers, status } or of the error.
function unary(client, method, request, metadata = new grpc.Metadata(), how = patience()) {
  return new Promise((resolve, reject) => {
    const result = {};
    const call = client[method](request, metadata, how, (error, reply) => (error ? reject(error) : (result.reply = reply)));
    call.on('metadata', (headers) => { result.headers = headers; });
    call.on('status', (status) => { result.status = status; if (status.code === grpc.status.OK) setImmediate(resolve, result); });
  });
}

// All messages of a stream to its end; rejects with its error.
function readAll(call) {
  return new Promise((resolve, reject) => {
    const messages = [];
    call.on('data', (message) => messages.push(message));
    call.on('end', () => resolve(messages));
    call.on('error', reject);
  });
}

// The error with which a call ends.
async function failure(promise) {
  const error = await promise.then(() => null, (e) => e);
  assert(error, 'the call does not fail');
  return error;
}

// A message of exactly `size` bytes: a tag, a length of four bytes, the body.
const payloadOf = (size) => ({ body: Buffer.alloc(size - 5, 'b') });

const cases = {
  async 'a unary greeting'() {
    const { reply } = await unary(greeter, 'Greet', { name: 'triple' });
    assert.strictEqual(reply.greeting, 'triple');
  },

  async 'a stream of greetings'() {
    const call = greeter.GreetStream(patience());
    call.write({ name: 'triple' });
    const [reply] = await once(call, 'data');
    assert.strictEqual(reply.greeting, 'triple');
    const end = readAll(call);
    call.end();
    assert.deepStrictEqual(await end, []);
  },

  async 'five greetings joined with commas'() {
    const greeting = await new Promise((resolve, reject) => {
      const call = greeter.GreetClientStream(patience(), (error, reply) => (error ? reject(error) : resolve(reply.greeting)));
      for (let i = 0; i < 5; i++) call.write({ name: 'triple' });
      call.end();
    });
    assert.strictEqual(greeting, 'triple,triple,triple,triple,triple');
  },

  async 'five greetings in reply to one'() {
    const replies = await readAll(greeter.GreetServerStream({ name: 'triple' }, patience()));
    assert.deepStrictEqual(replies.map((r) => r.greeting), Array(5).fill('triple'));
  },

  async 'the sums of 1 to 10'() {
    const call = numbers.AccumulateNumbers(patience(1)); // the program's own deadline
    const replies = readAll(call);
    for (let i = 1; i <= 10; i++) call.write({ num: i });
    call.end();
    assert.deepStrictEqual((await replies).map((r) => r.sum), [1, 3, 6, 10, 15, 21, 28, 36, 45, 55]);
  },

  // Sends three messages, hears them and the server's, closes its own side, reads on until the end.
  async 'a duplex chat with half-close and end'() {
    const call = chatter.Chat(patience());
    const own = [];
    let fromServer = 0;
    const heard = new Promise((resolve, reject) => {
      call.on('data', (message) => {
        if (message.sender === 'Client') own.push(message.message);
        if (message.sender === 'Server') fromServer++;
        if (own.length === 3 && fromServer > 0) resolve();
      });
      call.on('error', reject);
    });
    const end = once(call, 'end');
    end.catch(() => {}); // an error before it is heard of below
    for (let i = 0; i < 3; i++) call.write({ sender: 'Client', message: `Hi there! Message ${i}`, timestamp: 1700000000 + i });
    await heard;
    assert.deepStrictEqual(own, ['Hi there! Message 0', 'Hi there! Message 1', 'Hi there! Message 2']);
    call.end();
    await end;
  },

  async 'a subscriber that sends nothing gets headers'() {
    const call = chatter.Chat(patience());
    await once(call, 'metadata');
    const error = failure(readAll(call));
    call.cancel();
    assert.strictEqual((await error).code, grpc.status.CANCELLED);
  },

  async 'a deadline is kept'() {
    const error = await failure(readAll(interop.Wait({}, { deadline: Date.now() + 300 })));
    assert.strictEqual(error.code, grpc.status.DEADLINE_EXCEEDED);
  },

  'a cancel reaches the handler': () => cancelReaches('Wait'),
  'a cancel reaches a handler that catches it': () => cancelReaches('WaitStubbornly'),

  async 'an error with details'() {
    const text = 'not yet: 100 % ärger\n';
    const error = await failure(unary(interop, 'Fail', { code: 'FAILED_PRECONDITION', text, reason: 'TOO_EARLY' }));
    assert.strictEqual(error.code, grpc.status.FAILED_PRECONDITION);
    assert.strictEqual(error.details, text);
    const [bytes] = error.metadata.get('grpc-status-details-bin');
    assert(bytes.includes('type.googleapis.com/google.rpc.ErrorInfo') && bytes.includes('TOO_EARLY'));
  },

  async 'an unknown method is UNIMPLEMENTED'() {
    const same = (value) => value;
    const error = await failure(new Promise((resolve, reject) => {
      interop.makeUnaryRequest('/interop.Interop/NoSuchMethod', same, same, Buffer.alloc(0), patience(),
        (e, reply) => (e ? reject(e) : resolve(reply)));
    }));
    assert.strictEqual(error.code, grpc.status.UNIMPLEMENTED);
  },

  async 'big and binary metadata'() {
    const metadata = new grpc.Metadata();
    const big = 'm'.repeat(30 * 1024);
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    metadata.add('x-echo', 'first');
    metadata.add('x-echo', big);
    metadata.add('x-echo-bin', binary);
    const { headers, status } = await unary(interop, 'Echo', {}, metadata);
    // Node joins equal names with a comma and a blank.
    assert.strictEqual(headers.get('x-echo').join(', '), `first, ${big}`);
    assert(status.metadata.get('x-echo-bin')[0].equals(binary));
  },

  async 'a message at the limit'() {
    const { reply } = await unary(interop, 'Echo', payloadOf(LIMIT));
    assert(reply.body.equals(payloadOf(LIMIT).body));
  },

  async 'a message over the limit is RESOURCE_EXHAUSTED'() {
    const error = await failure(unary(interop, 'Echo', payloadOf(LIMIT + 1)));
    assert.strictEqual(error.code, grpc.status.RESOURCE_EXHAUSTED);
    await unary(interop, 'Echo', payloadOf(100)); // the connection goes on
  },

  async 'compressed messages'() {
    const gzip = { ...options, 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip };
    const client = new types.interop.Interop(address, grpc.credentials.createInsecure(), gzip);
    const call = client.EchoStream(patience());
    const replies = readAll(call);
    const sizes = [10, 1000, 1000000, 10];
    for (const size of sizes) call.write(payloadOf(size));
    call.end();
    assert.deepStrictEqual((await replies).map((r) => r.body.length), sizes.map((size) => size - 5));
    client.close();
  },

  async 'many streams of one connection'() {
    await Promise.all(Array.from({ length: 100 }, async (_, n) => {
      const call = numbers.AccumulateNumbers(patience());
      const replies = readAll(call);
      for (let i = 0; i < 50; i++) call.write({ num: n });
      call.end();
      assert.deepStrictEqual((await replies).map((r) => r.sum), Array.from({ length: 50 }, (_, i) => (i + 1) * n));
    }));
  },
};

async function endedCalls() {
  return (await unary(interop, 'Ended', {})).reply.number;
}

async function cancelReaches(method) {
  const before = await endedCalls();
  const call = interop[method]({}, patience());
  await once(call, 'data');
  const error = failure(readAll(call));
  call.cancel();
  assert.strictEqual((await error).code, grpc.status.CANCELLED);
  for (const until = Date.now() + 10000; (await endedCalls()) === before;) assert(Date.now() < until, 'the handler goes on');
}

async function main() {
  let passed = 0;
  let failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      passed++;
      console.log(`ok      grpc-js: ${name}`);
    } catch (fault) {
      failed++;
      console.log(`not ok  grpc-js: ${name}: ${fault.message.slice(0, 300)}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
