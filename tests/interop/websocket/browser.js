// Chromium on the demo page, and a gRPC client on the other side; a relay between the two can cut its connections.
//
// usage: node browser.js ADDRESS TLS_ADDRESS CHROMIUM FOLDER PROTO_FOLDER
'use strict';
const assert = require('assert');
const net = require('net');
const { spawn } = require('child_process');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const WebSocket = require('ws');
const { PATIENCE, within, runAll } = require('./cases');

const [address, secure, program, folder, protos] = process.argv.slice(2);

const Room = grpc.loadPackageDefinition(loader.loadSync('room.proto', { includeDirs: [protos] })).room.Room;
const grpcClient = new Room(address, grpc.credentials.createInsecure());

// ---- the browser, by its DevTools protocol

const browser = spawn(program, ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--no-proxy-server', '--ignore-certificate-errors', `--user-data-dir=${folder}`, '--remote-debugging-port=0', 'about:blank'],
{ stdio: ['ignore', 'ignore', 'pipe'] });
process.on('exit', () => browser.kill('SIGKILL'));

const debugging = new Promise((resolve, reject) => {
  let said = '';
  browser.stderr.on('data', (data) => {
    said += data;
    const url = /DevTools listening on (\S+)/.exec(said);
    if (url) resolve(url[1]);
  });
  browser.on('exit', (code) => reject(new Error(`Chromium has ended (${code}): ${said}`)));
  browser.on('error', reject);
});

async function openPage(url) {
  const socket = new WebSocket(await within(debugging, 'the browser'), { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  const waiting = new Map(), handshakes = [];
  let last = 0;
  socket.on('message', (data) => {
    const { id, result, error, method, params } = JSON.parse(data);
    if (method === 'Network.webSocketHandshakeResponseReceived') handshakes.push(params.response.status);
    if (!waiting.has(id)) return;
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    error ? reject(new Error(error.message)) : resolve(result);
  });
  const ask = (method, params, sessionId) => new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
  });
  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
  await ask('Network.enable', {}, sessionId);
  await ask('Page.navigate', { url }, sessionId);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await ask('Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true }, sessionId);
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  };
  // Until the expression is true.
  const until = async (expression) => {
    const end = Date.now() + PATIENCE / 2;
    while (!(await evaluate(expression))) {
      if (Date.now() > end) throw new Error(`never: ${expression}; the page: ${await evaluate('document.body?.innerText')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { evaluate, until, handshakes };
}

// ---- the cases

const heard = (way, text) => `document.getElementById('${way}').innerText.includes(${JSON.stringify(text)})`;
const ways = ['websocket', 'grpc-web', 'events'];
let page;

const grpcSay = (text) => new Promise((resolve, reject) => grpcClient.Say({ sender: 'ann', text },
  (error, reply) => (error ? reject(error) : resolve(reply))));

// Everything that goes through it is cut while it is told so.
function openRelay() {
  const sockets = new Set();
  const relay = { isCut: false };
  const server = net.createServer((near) => {
    if (relay.isCut) return near.destroy();
    const [, host, port] = /^(.*):(\d+)$/.exec(address);
    const far = net.connect(port, host);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => { sockets.delete(one); other.destroy(); });
      one.pipe(other);
    }
  });
  relay.cut = () => { relay.isCut = true; sockets.forEach((socket) => socket.destroy()); };
  return new Promise((resolve) => server.unref().listen(0, '127.0.0.1',
    () => resolve(Object.assign(relay, { url: `http://127.0.0.1:${server.address().port}/` }))));
}

const say = (way, text) => page.evaluate(`(() => {
  document.getElementById('way').value = '${way}';
  document.getElementById('text').value = ${JSON.stringify(text)};
  document.getElementById('form').requestSubmit();
})()`);

// What a gRPC client hears.
const talk = grpcClient.Talk();
const words = [], listeners = [];
talk.on('data', (word) => { words.push(word.text); listeners.forEach((f) => f()); });
talk.on('error', () => {});
const hears = (text) => within(new Promise((resolve) => {
  const look = () => { if (words.some((word) => word.startsWith(text))) resolve(); };
  listeners.push(look);
  look();
}), text);

const cases = {
  async 'the page comes, and all ways stand'() {
    await within(new Promise((resolve) => talk.on('metadata', resolve)), 'the room');
    page = await openPage(`http://${address}/`);
    await page.until("document.readyState === 'complete' && !!document.getElementById('form')");
    for (const way of ways) await page.until(`document.getElementById('${way}-state').textContent === 'open'`);
  },

  async 'what the browser says by WebSocket, all hear'() {
    await say('websocket', 'by socket \u03ba');
    await hears('by socket \u03ba (by websocket)');
    for (const way of ways) await page.until(heard(way, 'browser: by socket \u03ba (by websocket)'));
  },

  async 'what the browser says by gRPC-Web, all hear'() {
    await say('grpc-web', 'by fetch');
    await hears('by fetch (by grpc-web)');
    for (const way of ways) await page.until(heard(way, 'browser: by fetch (by grpc-web)'));
  },

  async 'what the browser says by plain HTTP, all hear'() {
    await say('events', 'by post');
    await hears('by post (by rest)');
    for (const way of ways) await page.until(heard(way, 'browser: by post (by rest)'));
  },

  async 'what a gRPC client says, the browser hears in every way'() {
    const said = await grpcSay('hello');
    assert.strictEqual(said.listeners, 4);
    talk.write({ sender: 'ann', text: 'hello again' });
    for (const text of ['ann: hello (by grpc)', 'ann: hello again (by grpc)'])
      for (const way of ways) await page.until(heard(way, text));
  },

  async 'events that a browser misses while it is cut off come when it is back, each once'() {
    const relay = await openRelay();
    const other = await openPage(relay.url);
    const isState = (state) => `document.getElementById('events-state')?.textContent === '${state}'`;
    await other.until(isState('open'));
    await grpcSay('before');
    await other.until(heard('events', 'before'));
    relay.cut();
    await other.until(isState('lost'));
    await grpcSay('meanwhile');
    relay.isCut = false;
    await other.until(isState('open'));
    await grpcSay('behind');
    await other.until(heard('events', 'behind'));
    const lines = await other.evaluate("[...document.querySelectorAll('#events li')].map((line) => line.textContent)");
    assert.deepStrictEqual(lines, ['before', 'meanwhile', 'behind'].map((text) => `ann: ${text} (by grpc)`));
  },

  // By TLS it speaks HTTP/2, and its WebSockets go over the page's connection: RFC 8441 answers them by 200.
  async 'a WebSocket over HTTP/2, by TLS'() {
    const over = await openPage(`https://${secure}/`);
    await over.until("document.readyState === 'complete' && !!document.getElementById('form')");
    for (const way of ways) await over.until(`document.getElementById('${way}-state').textContent === 'open'`);
    assert.deepStrictEqual(over.handshakes, [200]);
    assert.deepStrictEqual(page.handshakes, [101]);
    const call = (path, text) => over.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket('wss://${secure}${path}'), said = [];
      socket.onopen = () => socket.send(${JSON.stringify(text)});
      socket.onmessage = (event) => said.push(event.data);
      socket.onclose = (event) => resolve([...said, event.code, event.reason, event.wasClean]);
    })`);
    const name = 'so much of it '.repeat(100000);
    assert.deepStrictEqual(await call('/greet.GreetService/Greet', JSON.stringify({ name })),
      [JSON.stringify({ greeting: name }), 1000, '', true]);
    assert.strictEqual((await call('/greet.GreetService/Greet', '{'))[0], 4003);
    assert.deepStrictEqual(over.handshakes, [200, 200, 200]);
  },

  async 'a page of another origin is refused'() {
    const code = await page.evaluate(`new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.sandbox = 'allow-scripts';
      frame.srcdoc = '<script>new WebSocket("ws://${address}/room.Room/Talk").onclose = (e) => parent.postMessage(e.code, "*")</script>';
      addEventListener('message', (event) => resolve(event.data));
      document.body.append(frame);
    })`);
    assert.strictEqual(code, 1006);
  },
};

runAll(cases);
