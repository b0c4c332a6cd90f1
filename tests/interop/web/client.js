// The clients that web pages use, in node: connect-es with Connect, gRPC-Web and gRPC over both versions of HTTP, and
// grpc-web over an XMLHttpRequest. Types are read from a descriptor set, so nothing is generated.
//
// usage: node client.js ADDRESS DESCRIPTOR_SET
// Prints a line for each case and "N passed, N failed" at the end.
'use strict';
const assert = require('assert');
const fs = require('fs');
const protobuf = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');
const { Code, ConnectError, createClient } = require('@connectrpc/connect');
const node = require('@connectrpc/connect-node');
global.XMLHttpRequest = require('xhr2');
const grpcWeb = require('grpc-web');

const [address, descriptorSet] = process.argv.slice(2);
const baseUrl = `http://${address}`;
const registry = protobuf.createFileRegistry(protobuf.fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptorSet)));
const service = (name) => registry.getService(name);
const patience = { timeoutMs: 20000 };
const cases = {};

async function collect(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

async function* list(messages) { yield* messages; }

async function failure(promise) {
  const error = await promise.then(() => null, (e) => e);
  assert(error, 'the call does not fail');
  return error;
}

// ---- connect-es

const makers = { Connect: node.createConnectTransport, 'gRPC-Web': node.createGrpcWebTransport, gRPC: node.createGrpcTransport };

function addConnectCases(name, transport, isDuplex) {
  const greeter = createClient(service('greet.GreetService'), transport);
  const interop = createClient(service('interop.Interop'), transport);
  const add = (what, run) => { cases[`${name}: ${what}`] = run; };

  add('a unary greeting', async () => {
    assert.strictEqual((await greeter.greet({ name: 'triple' }, patience)).greeting, 'triple');
  });
  add('five greetings in reply to one', async () => {
    const replies = await collect(greeter.greetServerStream({ name: 'triple' }, patience));
    assert.deepStrictEqual(replies.map((r) => r.greeting), Array(5).fill('triple'));
  });
  add('five greetings joined with commas', async () => {
    const reply = await greeter.greetClientStream(list(Array(5).fill({ name: 'triple' })), patience);
    assert.strictEqual(reply.greeting, 'triple,triple,triple,triple,triple');
  });
  add('greetings both ways', async () => {
    const names = ['a', 'b', 'c'];
    const replies = await collect(greeter.greetStream(list(names.map((n) => ({ name: n }))), patience));
    assert.deepStrictEqual(replies.map((r) => r.greeting), names);
  });
  if (isDuplex) add('greetings as they come', async () => {
    let answered = () => {};
    const heard = [];
    async function* ask() {
      for (const one of ['a', 'b', 'c']) {
        const answer = new Promise((resolve) => { answered = resolve; });
        yield { name: one };
        await answer;
      }
    }
    for await (const reply of greeter.greetStream(ask(), patience)) {
      heard.push(reply.greeting);
      answered();
    }
    assert.deepStrictEqual(heard, ['a', 'b', 'c']);
  });
  add('metadata both ways, binary too', async () => {
    let header, trailer;
    const bytes = new Uint8Array([0, 255, 1]);
    const headers = { 'x-echo': 'here', 'x-echo-bin': Buffer.from(bytes).toString('base64') };
    const options = { ...patience, headers, onHeader: (h) => { header = h; }, onTrailer: (t) => { trailer = t; } };
    await interop.echo({}, options);
    assert.strictEqual(header.get('x-echo'), 'here');
    assert.deepStrictEqual(new Uint8Array(Buffer.from(trailer.get('x-echo-bin'), 'base64')), bytes);
  });
  add('a failure with its text and details', async () => {
    const error = ConnectError.from(await failure(
      interop.fail({ code: 'NOT_FOUND', text: 'no „such“ thing', reason: 'GONE' }, patience)));
    assert.deepStrictEqual([error.code, error.rawMessage], [Code.NotFound, 'no „such“ thing']);
    const [info] = error.findDetails(registry.getMessage('google.rpc.ErrorInfo'));
    assert.strictEqual(info.reason, 'GONE');
  });
  add('a deadline that passes', async () => {
    const error = await failure(collect(interop.wait({}, { timeoutMs: 500 })));
    assert.strictEqual(ConnectError.from(error).code, Code.DeadlineExceeded);
  });
  add('a cancel', async () => {
    const control = new AbortController();
    const error = await failure((async () => {
      for await (const message of interop.wait({ number: 1 }, { ...patience, signal: control.signal })) {
        assert.strictEqual(message.number, 1);
        control.abort();
      }
    })());
    assert.strictEqual(ConnectError.from(error).code, Code.Canceled);
  });
  add('messages of every size', async () => {
    for (const size of [0, 1, 1000, 65536, 1000000]) {
      const body = new Uint8Array(size).fill(7);
      assert.deepStrictEqual((await interop.echo({ body }, patience)).body, body);
    }
    const error = await failure(interop.echo({ body: new Uint8Array(4200000) }, patience));
    assert.strictEqual(ConnectError.from(error).code, Code.ResourceExhausted);
  });
  add('a method that is not there', async () => {
    const type = service('chat.ChatService');
    const missing = { ...type, typeName: 'no.Such', method: {} };
    missing.methods = type.methods.map((m) => ({ ...m, parent: missing }));
    const stranger = createClient(missing, transport);
    const error = await failure(collect(stranger.chat(list([]), patience)));
    assert.strictEqual(ConnectError.from(error).code, Code.Unimplemented);
  });
}

for (const [protocol, make] of Object.entries(makers)) {
  for (const httpVersion of protocol === 'gRPC' ? ['2'] : ['1.1', '2']) {
    for (const useBinaryFormat of [true, false]) {
      const name = `connect-es, ${protocol}${useBinaryFormat ? '' : ' as JSON'} over HTTP/${httpVersion}`;
      const options = { baseUrl, httpVersion, useBinaryFormat, jsonOptions: { registry } };
      addConnectCases(name, make(options), httpVersion === '2');
      const compressed = make({ ...options, sendCompression: node.compressionGzip, acceptCompression: [node.compressionGzip],
        compressMinBytes: 0 });
      cases[`${name}: gzip both ways`] = async () => {
        const body = new Uint8Array(10000).fill(7);
        const echo = createClient(service('interop.Interop'), compressed);
        assert.deepStrictEqual(new Uint8Array((await echo.echo({ body }, patience)).body), body);
        const replies = await collect(echo.echoStream(list([{ body }, { body }]), patience));
        assert.deepStrictEqual(replies.map((r) => r.body.length), [10000, 10000]);
      };
    }
  }
}

// ---- grpc-web

function descriptorOf(method, kind) {
  const [input, output] = [method.input, method.output];
  return new grpcWeb.MethodDescriptor(`/${method.parent.typeName}/${method.name}`, kind, Object, Object,
    (message) => protobuf.toBinary(input, protobuf.create(input, message)), (bytes) => protobuf.fromBinary(output, bytes));
}

function addGrpcWebCases(format) {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const add = (what, run) => { cases[`grpc-web, ${format}: ${what}`] = run; };
  const find = (type, name) => service(type).methods.find((m) => m.name === name);
  const soon = () => ({ deadline: String(Date.now() + 20000) });
  function call(type, name, message, metadata = soon()) {
    const descriptor = descriptorOf(find(type, name), 'unary');
    return new Promise((resolve, reject) => {
      client.rpcCall(`${baseUrl}/${type}/${name}`, message, metadata, descriptor,
        (error, reply) => (error ? reject(error) : resolve(reply)));
    });
  }
  function stream(type, name, message, metadata = soon()) {
    const descriptor = descriptorOf(find(type, name), 'server_streaming');
    return client.serverStreaming(`${baseUrl}/${type}/${name}`, message, metadata, descriptor);
  }

  add('a unary greeting', async () => {
    assert.strictEqual((await call('greet.GreetService', 'Greet', { name: 'triple' })).greeting, 'triple');
  });
  add('a failure with its text and details', async () => {
    const error = await failure(call('interop.Interop', 'Fail', { code: 'NOT_FOUND', text: 'no „such“ thing', reason: 'GONE' }));
    assert.deepStrictEqual([error.code, error.message], [grpcWeb.StatusCode.NOT_FOUND, 'no „such“ thing']);
    assert(error.metadata['grpc-status-details-bin']);
  });
  add('a large message', async () => {
    const body = new Uint8Array(300000).fill(7);
    assert.strictEqual((await call('interop.Interop', 'Echo', { body })).body.length, body.length);
  });
  // A browser shows binary answers only when they are whole, so that streams are for text.
  if (format === 'text') {
    add('five greetings in reply to one, and trailers', async () => {
      const heard = [];
      const status = await new Promise((resolve, reject) => {
        const replies = stream('greet.GreetService', 'GreetServerStream', { name: 'triple' });
        replies.on('data', (reply) => heard.push(reply.greeting));
        replies.on('error', reject);
        replies.on('status', resolve);
      });
      assert.deepStrictEqual([status.code, heard], [0, Array(5).fill('triple')]);
    });
  }
}
addGrpcWebCases('text');
addGrpcWebCases('binary');

async function main() {
  let passed = 0;
  let failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      passed++;
      console.log(`ok      ${name}`);
    } catch (fault) {
      failed++;
      console.log(`not ok  ${name}: ${String(fault.message).slice(0, 300)}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
