import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { decodeProxyHeader } from '#io/proxy-protocol/proxy-header.ts';
import { freePort } from '../harness/static-mesh.ts';
import {
  connectTcp,
  openBackend,
  openBySocks,
  openEcho,
  readExactly,
  receiveBytes,
  receiveText,
  seededBytes,
  sendBytes,
  SocksRefusal,
  socksReply,
  type TcpBackend,
} from '../harness/tcp.ts';
import { portOf, UpMesh, until } from '../harness/up.ts';

// A machine that is busy with other things is slower than a test of one stream expects.
vi.setConfig({ testTimeout: 60_000 });

const BULK_BYTES = 268_435_456;
const MIB = 1_048_576;

let mesh: UpMesh;
let oslo: number;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  mesh = await UpMesh.start();
  oslo = await mesh.socks('oslo');
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

afterAll(async () => {
  await mesh.stop();
});

async function publish(service: string, node: string, backend: TcpBackend, ...flags: string[]): Promise<void> {
  closers.push(async () => backend.close());
  await mesh.x0('expose', service, '--to', `127.0.0.1:${backend.port}`, '--node', node, ...flags);
  await untilReachable(service);
}

/** The snapshot reaches the nodes within moments; until then the name is unknown, or the instance not there yet. */
async function untilReachable(service: string): Promise<void> {
  await until(
    async () => {
      try {
        return (await openBySocks(oslo, service)).destroy().destroyed;
      } catch (error) {
        if (error instanceof SocksRefusal) return false;
        throw error;
      }
    },
    (isOpen) => isOpen,
    5000,
  );
}

async function open(service: string): Promise<Socket> {
  const socket = await openBySocks(oslo, service);
  closers.push(() => socket.destroy());
  return socket;
}

async function askBoth(): Promise<string> {
  return await receiveText(await open('both'));
}

function residentMib(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

async function curl(...args: readonly string[]): Promise<string> {
  const child = spawn('curl', ['-sS', '--max-time', '10', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return await text(child.stdout);
}

test('no node refuses what an honest neighbour says', async () => {
  const { nodes } = await mesh.status();
  const refused = nodes.flatMap(({ name, counters }) =>
    Object.keys(counters)
      .filter((counter) => /^record-(body|bad|certificate|version|truncated|trailing|expired|from)/.test(counter))
      .map((counter) => `${name} counts ${counter}`),
  );
  expect(refused).toEqual([]);
});

describe('bytes', () => {
  test.each([
    { relays: 1, node: 'kyoto' },
    { relays: 2, node: 'lima' },
  ])(
    '256 MiB each way through $relays relays arrive exactly',
    async ({ relays, node }) => {
      const received = Promise.withResolvers<{ length: number; sha256: string }>();
      const sent = Promise.withResolvers<string>();
      let isFirst = true;
      const backend = await openBackend((socket) => {
        if (isFirst) {
          isFirst = false;
          socket.resume().end();
          return;
        }
        receiveBytes(socket).then(received.resolve, received.reject);
        sendBytes(socket, 'down', BULK_BYTES).then(sent.resolve, sent.reject);
      });
      await publish(`bulk${relays}`, node, backend);
      const client = await open(`bulk${relays}`);
      const startedMs = performance.now();
      const arriving = receiveBytes(client);
      const upSha256 = await sendBytes(client, 'up', BULK_BYTES);
      expect(await received.promise).toEqual({ length: BULK_BYTES, sha256: upSha256 });
      expect(await arriving).toEqual({ length: BULK_BYTES, sha256: await sent.promise });
      const seconds = (performance.now() - startedMs) / 1000;
      console.log(
        `256 MiB each way through ${relays} relays: ${seconds.toFixed(1)} s, ${((BULK_BYTES * 16) / seconds / 1e9).toFixed(2)} Gbit/s`,
      );
    },
    60_000,
  );

  test('100 concurrent streams each get their own bytes back', async () => {
    await publish('echo', 'lima', await openEcho());
    const lengths = Array.from({ length: 100 }, (_, index) => 1 + index * 7919);
    const results = await Promise.all(
      lengths.map(async (length, index) => {
        const socket = await open('echo');
        const arriving = receiveBytes(socket);
        const sha256 = await sendBytes(socket, `stream ${index}`, length);
        expect(await arriving).toEqual({ length, sha256 });
        return length;
      }),
    );
    expect(results).toEqual(lengths);
    await until(
      async () => (await mesh.streams()).filter((row) => row.service === 'echo').length,
      (open) => open === 0,
      5000,
    );
  });
});

describe('a stream ends as TCP users expect', () => {
  test('half-close: an answer may follow the end of the question', async () => {
    const backend = await openBackend((socket) => {
      // The look whether the service is reachable is reset, and is no question.
      receiveBytes(socket).then(
        ({ length }) => socket.end(`got ${length} bytes`),
        () => socket.destroy(),
      );
    });
    await publish('count', 'lima', backend);
    const client = await open('count');
    client.end('question');
    expect(await receiveText(client)).toBe('got 8 bytes');
  });

  test('the other half: a question may follow the end of the answer', async () => {
    const question = Promise.withResolvers<string>();
    const backend = await openBackend((socket) => {
      socket.end('ready');
      receiveText(socket).then(
        (all) => {
          if (all !== '') question.resolve(all);
        },
        () => socket.destroy(),
      );
    });
    await publish('late', 'lima', backend);
    const client = await open('late');
    expect(await receiveText(client)).toBe('ready');
    client.end('late question');
    expect(await question.promise).toBe('late question');
  });

  test('a reset of the backend is a reset of the client, not an end', async () => {
    const backend = await openBackend((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    await publish('reset', 'lima', backend);
    const client = await open('reset');
    const failed = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
    client.write('x');
    client.resume();
    const ended = once(client, 'end').then(() => 'end');
    const outcome = await Promise.race([failed.then(([error]) => error.code), ended]);
    expect(outcome).toBe('ECONNRESET');
  });

  test('a reader that never reads stops its writer, and no node grows', async () => {
    const backend = await openBackend((socket) => socket.pause());
    await publish('stall', 'lima', backend);
    const { nodes } = await mesh.status();
    const pids = nodes.map((node) => node.pid);
    const before = pids.map(residentMib);
    const client = await open('stall');
    const block = seededBytes('stall', MIB);
    const settled = await writeUntilStalled(client, block);
    expect(settled / MIB).toBeLessThan(64);
    const growth = pids.map((pid, index) => residentMib(pid) - (before[index] ?? 0));
    console.log(
      `stalled after ${(settled / MIB).toFixed(0)} MiB; growth of nodes in MiB: ${growth.map(Math.round).join(' ')}`,
    );
    expect(Math.max(...growth)).toBeLessThan(64);
    // A sibling stream on the same tunnel goes on.
    expect(await curl('--proxy', `socks5h://127.0.0.1:${oslo}`, 'http://hello.mesh/')).toMatch(/^hello from lima/);
  });
});

const STALLED_MS = 1_000;

/** Writes until nothing moves for {@link STALLED_MS}; returns what was taken by the kernel and the mesh. */
async function writeUntilStalled(client: Socket, block: Buffer): Promise<number> {
  for (let written = 0; written < 512 * MIB; written += block.byteLength) {
    if (client.write(block)) continue;
    const moved = await Promise.race([once(client, 'drain').then(() => true), pause(STALLED_MS, false)]);
    if (!moved) return client.bytesWritten - client.writableLength;
  }
  throw new Error('the writer was never stopped');
}

describe('services', () => {
  test('x0 forward opens a port that leads to the service, and x0 unforward closes it', async () => {
    await publish('fecho', 'lima', await openEcho());
    const port = await freePort();
    await mesh.x0('forward', 'fecho', '--listen', `127.0.0.1:${port}`, '--node', 'oslo');
    const client = await until(
      async () => await connectTcp(port).catch(() => undefined),
      (socket) => socket !== undefined,
      5000,
    );
    client?.end('through a local port');
    expect(client === undefined ? '' : await receiveText(client)).toBe('through a local port');
    await mesh.x0('unforward', 'fecho', '--node', 'oslo');
    await until(
      async () =>
        await connectTcp(port).then(
          (socket) => socket.destroy(),
          (error: NodeJS.ErrnoException) => error.code,
        ),
      (code) => code === 'ECONNREFUSED',
      5000,
    );
  });

  test('a forward that cannot listen, leads nowhere or is another one already is refused with the reason', async () => {
    const taken = await openEcho();
    closers.push(async () => taken.close());
    const forward = async (service: string, listen: string): Promise<string> => {
      const result = await mesh.x0('forward', service, '--listen', listen, '--node', 'oslo').catch(String);
      return result;
    };
    expect(await forward('hello', `127.0.0.1:${taken.port}`)).toContain('PORT_IN_USE');
    expect(await forward('hello', `192.0.2.7:${taken.port}`)).toContain('ADDRESS_NOT_HERE');
    expect(await forward('nobody', `127.0.0.1:${await freePort()}`)).toContain('SERVICE_UNKNOWN');
    await mesh.x0('forward', 'hello', '--listen', `127.0.0.1:${await freePort()}`, '--node', 'oslo');
    expect(await forward('hello', `127.0.0.1:${await freePort()}`)).toContain('FORWARD_EXISTS');
    await mesh.x0('unforward', 'hello', '--node', 'oslo');
  });

  test('--proxy-protocol gives the backend the caller’s SPIFFE ID, from afar and from the same node', async () => {
    const headers: Promise<Buffer>[] = [];
    const backend = await openBackend((socket) =>
      headers.push(once(socket, 'data').then(([bytes]) => bytes as Buffer)),
    );
    await publish('who', 'lima', backend, '--proxy-protocol');
    for (const [caller, port] of [
      ['oslo', oslo],
      ['lima', await mesh.socks('lima')],
    ] as const) {
      headers.length = 0;
      closers.push(
        (
          (socket) => () =>
            socket.destroy()
        )(await openBySocks(port, 'who')),
      );
      const header = await until(
        () => headers[0],
        (first) => first !== undefined,
        2000,
      );
      expect(decodeProxyHeader(header ?? new Uint8Array())).toMatchObject({
        ok: true,
        value: { spiffeId: `spiffe://x0tta6bl4.mesh/node/${caller}`, service: 'who' },
      });
    }
  });

  test('x0 unexpose takes the name away', async () => {
    await publish('gone', 'kyoto', await openEcho());
    expect((await mesh.node('kyoto')).services).toContain('gone');
    await mesh.x0('unexpose', 'gone', '--node', 'kyoto');
    await until(
      async () => await socksReply(oslo, 'gone.mesh'),
      (reply) => reply === 4,
      5000,
    );
    expect((await mesh.status()).services.map((service) => service.name)).not.toContain('gone');
  });

  test('one service on two nodes is reached at the nearer, and at the other when that is gone', async () => {
    const near = await openBackend((socket) => socket.end('rome'));
    const far = await openBackend((socket) => socket.end('lima'));
    await publish('both', 'lima', far);
    await mesh.x0('expose', 'both', '--to', `127.0.0.1:${near.port}`, '--node', 'rome');
    closers.push(async () => near.close());
    expect(await until(askBoth, (name) => name === 'rome', 5000)).toBe('rome');
    await mesh.x0('unexpose', 'both', '--node', 'rome');
    expect(await until(askBoth, (name) => name === 'lima', 5000)).toBe('lima');
  });

  test('x0 streams shows service, bytes and path at both ends while a stream is open', async () => {
    await publish('seen', 'lima', await openEcho());
    const client = await open('seen');
    client.write(seededBytes('seen', 5000));
    await readExactly(client, 5000);
    const rows = (await mesh.streams()).filter((row) => row.service === 'seen');
    const both = { service: 'seen', sentBytes: 5000, receivedBytes: 5000 };
    expect(rows).toMatchObject([
      { ...both, node: 'lima', role: 'server', peer: 'oslo' },
      { ...both, node: 'oslo', role: 'client', peer: 'lima' },
    ]);
    const [server, caller] = rows.map((row) => row.path);
    expect(caller?.join(' ')).toMatch(/^oslo (rome|delhi) (cairo|kyoto) lima$/);
    // The end that was called knows the hop before it only.
    expect(server).toEqual(['oslo', '…', caller?.[2], 'lima']);
  });

  test('x0 ping measures a round trip through relays', async () => {
    const { rttMs, path } = (await mesh.json('ping', 'lima', '--from', 'oslo')) as { rttMs: number; path: string[] };
    expect(rttMs).toBeGreaterThan(0);
    expect(rttMs).toBeLessThan(1000);
    expect(path).toHaveLength(4);
  });
});

describe('what is refused', () => {
  const BIND = 2;
  const ASSOCIATE = 3;

  test('SOCKS5 replies tell why', async () => {
    expect(await socksReply(oslo, 'nobody.mesh')).toBe(4);
    expect(await socksReply(oslo, 'example.com')).toBe(2);
    expect(await socksReply(oslo, '127.0.0.1')).toBe(2);
    expect(await socksReply(oslo, 'hello.mesh', BIND)).toBe(7);
    expect(await socksReply(oslo, 'hello.mesh', ASSOCIATE)).toBe(7);
  });

  test('a target that its node does not permit is refused at expose and says what to do', async () => {
    const { status, stderr } = await mesh.tryX0('expose', 'lan', '--to', '10.9.8.7:22', '--node', 'lima');
    expect(stderr).toMatch(/^x0: TARGET_NOT_ALLOWED: .*--allow-target 10\.9\.8\.7:22.*\n$/);
    expect(status).toBe(1);
    expect((await mesh.status()).services.map((service) => service.name)).not.toContain('lan');
  });

  test('a service may not lead to x0’s own ports', async () => {
    const { listen } = await mesh.node('lima');
    const { stderr } = await mesh.tryX0(
      'expose',
      'self',
      '--to',
      `127.0.0.1:${portOf(listen.admin)}`,
      '--node',
      'lima',
    );
    expect(stderr).toMatch(/^x0: TARGET_NOT_ALLOWED: .*port of x0 itself/);
  });

  test('a backend that is not there is connection refused', async () => {
    await mesh.x0('expose', 'dead', '--to', `127.0.0.1:${await freePort()}`, '--node', 'lima');
    await until(
      async () => await socksReply(oslo, 'dead.mesh'),
      (reply) => reply === 5,
      5000,
    );
    expect(
      await curl('--proxy', `http://127.0.0.1:${portOf((await mesh.node('oslo')).listen.http)}`, 'http://dead.mesh/'),
    ).toContain('TARGET_REFUSED');
  });

  test.each([
    ['node', ['path', 'oslo', 'atlantis'], 'NODE_UNKNOWN'],
    ['asker', ['peers', 'atlantis'], 'NODE_UNKNOWN'],
    ['service', ['unexpose', 'atlantis', '--node', 'lima'], 'SERVICE_UNKNOWN'],
  ])('an unknown %s is named', async (_what, args, code) => {
    const { status, stderr } = await mesh.tryX0(...args);
    expect(stderr).toMatch(new RegExp(`^x0: ${code}: .*\\n$`));
    expect(status).toBe(1);
  });
});
