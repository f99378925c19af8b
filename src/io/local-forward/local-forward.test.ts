import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import type { Listener } from '../edge-listener/tcp-listener.ts';
import { FakeOpener } from '../stream-splice/fake-opener.ts';
import { TargetPolicy } from '../target-policy/target-policy.ts';
import { connectTarget } from '../target-tcp/connect-target.ts';
import { openLocalForward } from './local-forward.ts';

const at = { host: '127.0.0.1', port: 0 };
let forward: Listener | undefined;

afterEach(async () => {
  await forward?.close();
  forward = undefined;
});

test('a local port leads to its service', async () => {
  const opener = new FakeOpener({ echo: (far) => far.pipe(far) });
  forward = await openLocalForward(at, { service: 'echo', opener, counters: new Counters() });
  const socket = connect({ ...forward.address, allowHalfOpen: true });
  socket.end('hello');
  expect(await text(socket)).toBe('hello');
});

test('a client whose stream cannot be opened sees a reset, and a counter says why', async () => {
  const counters = new Counters();
  forward = await openLocalForward(at, { service: 'gone', opener: new FakeOpener({ gone: 'NO_PATH' }), counters });
  const socket = connect(forward.address);
  const [error] = (await once(socket, 'error')) as [Error & { code: string }];
  expect(error.code).toBe('ECONNRESET');
  expect(counters.get('forward.NO_PATH')).toBe(1);
});

test('a target is dialled if its node allows it, and hears the header first', async () => {
  const server = createServer((socket) => void socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = (server.address() as { port: number }).port;
  const policy = new TargetPolicy({ patterns: [], ownPorts: () => [] });
  const [socket, [accepted]] = await Promise.all([
    connectTarget(policy, { host: 'localhost', port, header: Buffer.from('first ') }),
    once(server, 'connection') as Promise<[Socket]>,
  ]);
  socket.end('then');
  expect(await text(accepted)).toBe('first then');
  server.close();
  await once(server, 'close');
  await expect(connectTarget(policy, { host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
  await expect(connectTarget(policy, { host: '192.0.2.1', port })).rejects.toMatchObject({
    code: 'TARGET_NOT_ALLOWED',
    message: expect.stringContaining('--allow-target') as string,
  });
});
