import { once } from 'node:events';
import { connect } from 'node:net';
import { Counters } from '#kernel/counters.ts';
import type { Listener } from '#io/edge-listener/tcp-listener.ts';
import { openHttpProxy } from '#io/http-proxy/http-proxy.ts';
import { FakeOpener } from '#io/stream-splice/fake-opener.ts';
import { check, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

const CONNECT = 'CONNECT hello.mesh:80 HTTP/1.1\r\nHost: hello.mesh:80\r\n\r\n';
const GET = 'GET http://hello.mesh/a?b=c HTTP/1.1\r\nHost: hello.mesh\r\nConnection: close\r\nVia: 1.0 y\r\n\r\n';
const POST =
  'POST http://hello.mesh/ HTTP/1.1\r\nHost: hello.mesh\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc';
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';
/** A valid request is sent after this many inputs: the proxy must serve as before. */
const PROBE_EVERY = 50;

let proxy: Promise<Listener> | undefined;
let inputs = 0;

/** A real proxy on loopback; it answers or closes, whatever it is sent. */
export const httpHead: FuzzTarget = {
  name: 'http-head',
  corpus: () => [CONNECT, GET, POST].map((text) => utf8(text)),
  async run(input) {
    proxy ??= openHttpProxy({ host: '127.0.0.1', port: 0 }, { opener: opener(), counters: new Counters() });
    const { address } = await proxy;
    if (inputs++ % PROBE_EVERY === 0) check((await ask(address, utf8(GET))).includes(' 200 '), 'serves as before');
    const answer = await ask(address, input);
    check(answer === '' || /^HTTP\/1\.1 \d{3} /.test(answer), `an answer of HTTP: ${answer.slice(0, 80)}`);
    return answer.startsWith('HTTP/1.1 200 ');
  },
  async close() {
    await (await proxy)?.close();
    proxy = undefined;
  },
};

function opener(): FakeOpener {
  return new FakeOpener({
    hello: (far) => {
      far.resume();
      far.end(ANSWER);
    },
  });
}

async function ask(address: { readonly host: string; readonly port: number }, bytes: Uint8Array): Promise<string> {
  const socket = connect({ ...address, allowHalfOpen: true });
  const chunks: Uint8Array[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => socket.destroy());
  socket.end(bytes);
  await Promise.race([once(socket, 'end'), once(socket, 'close')]);
  socket.destroy();
  return textOf(Buffer.concat(chunks));
}
