// A client by npm's ws, which most programs of node use.
//
// usage: node client.js ADDRESS
'use strict';
const assert = require('assert');
const WebSocket = require('ws');
const { runAll } = require('./cases');

const address = process.argv[2];

// A call: next() is a message, or the close as { code, reason }.
function open(path, protocols, options) {
  const socket = new WebSocket(`ws://${address}${path}`, protocols, options);
  const events = [], waiting = [];
  const tell = (event) => (waiting.length ? waiting.shift()(event) : events.push(event));
  socket.on('message', (data, isBinary) => tell(isBinary ? data : data.toString()));
  socket.on('close', (code, reason) => tell({ code, reason: reason.toString() }));
  socket.on('error', () => {});
  const next = () => new Promise((resolve) => (events.length ? resolve(events.shift()) : waiting.push(resolve)));
  const opened = new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('unexpected-response', (_, answer) => reject(new Error(`status ${answer.statusCode}`)));
    socket.on('error', reject);
  });
  opened.catch(() => {});
  return { socket, next, opened, send: (json) => socket.send(JSON.stringify(json)), halfClose: () => socket.send('') };
}

const greet = '/greet.GreetService/';

const cases = {
  async 'a unary greeting'() {
    const call = open(greet + 'Greet');
    await call.opened;
    call.send({ name: 'ws' });
    assert.strictEqual(JSON.parse(await call.next()).greeting, 'ws');
    assert.deepStrictEqual(await call.next(), { code: 1000, reason: '' });
  },

  async 'a sum of both directions'() {
    const call = open('/tutorial.NumberService/AccumulateNumbers', 'tidewire.json');
    await call.opened;
    assert.strictEqual(call.socket.protocol, 'tidewire.json');
    let sum = 0;
    for (let num = 1; num <= 100; num++) {
      call.send({ num });
      sum += num;
      assert.deepStrictEqual(JSON.parse(await call.next()), { message: { sum } });
    }
    call.halfClose();
    assert.deepStrictEqual(JSON.parse(await call.next()), { end: {} });
    assert.strictEqual((await call.next()).code, 1000);
  },

  async 'binary messages of protobuf'() {
    const call = open('/tutorial.NumberService/AccumulateNumbers', 'tidewire.proto');
    await call.opened;
    call.socket.send(Buffer.from([0x08, 0x05]));
    assert.deepStrictEqual(await call.next(), Buffer.from([0x08, 0x05]));
    call.halfClose();
    assert.strictEqual(await call.next(), '{"end":{}}');
    assert.strictEqual((await call.next()).code, 1000);
  },

  async 'large messages, compressed and not'() {
    const text = 'so much of it '.repeat(200_000);
    for (const perMessageDeflate of [false, true]) {
      const call = open(greet + 'Greet', [], { perMessageDeflate });
      await call.opened;
      assert.strictEqual(call.socket.extensions.includes('permessage-deflate'), perMessageDeflate);
      call.send({ name: text });
      assert.strictEqual(JSON.parse(await call.next()).greeting, text);
      assert.strictEqual((await call.next()).code, 1000);
    }
  },

  async 'a message over the limit'() {
    const call = open(greet + 'Greet', [], { perMessageDeflate: false });
    await call.opened;
    call.send({ name: 'x'.repeat(5 << 20) });
    assert.strictEqual((await call.next()).code, 1009);
  },

  async 'pings'() {
    const call = open('/tutorial.NumberService/AccumulateNumbers');
    await call.opened;
    const pong = new Promise((resolve) => call.socket.on('pong', resolve));
    call.socket.ping('are you there');
    assert.strictEqual((await pong).toString(), 'are you there');
    call.socket.close(1000, 'enough');
    assert.strictEqual((await call.next()).code, 1000);
  },

  async 'a method that is not there'() {
    await assert.rejects(open('/greet.GreetService/Missing').opened, /status 404/);
  },

  async 'an origin that is another'() {
    await assert.rejects(open(greet + 'Greet', [], { origin: 'https://elsewhere.example' }).opened, /status 403/);
    await open(greet + 'Greet', [], { origin: `http://${address}` }).opened;
  },
};

runAll(cases);
