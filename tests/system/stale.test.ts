import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../harness/free-port.ts';
import { openBySocks, openEcho, readExactly, socksReply } from '../harness/tcp.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { UpMesh, until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const undo: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
}, 60_000);

test.skipIf(SYSTEM_MISSING !== undefined)(
  'a node that hears of no control plane for longer than it was told ends its streams, and works again when it hears',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'x0-stale-'));
    undo.push(async () => rmSync(folder, { recursive: true, force: true }));
    const echo = await openEcho();
    undo.push(async () => echo.close());
    const mesh = await UpMesh.start({ dataDir: join(folder, 'mesh') });
    undo.push(async () => mesh.stop());
    await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
    const token = (await mesh.x0('token', 'create', '--node', 'bergen')).trim();
    const socks = await freePort();
    const listeners = ['--socks', `127.0.0.1:${socks}`, '--http', 'off', '--admin', 'off', '--stale-after', '45'];
    const node = new X0Process(CLONE, ['node', '--data-dir', join(folder, 'bergen'), '--join', token, ...listeners]);
    undo.push(async () => void (await node.end('SIGTERM')));
    const stream = await until(
      async () => openBySocks(socks, 'echo').catch(() => undefined),
      (socket) => socket !== undefined,
      30_000,
    );
    if (stream === undefined) throw new Error('no stream');
    const ended = new Promise((resolve) => stream.once('error', resolve).once('close', resolve));
    const { control } = (await mesh.status()) as unknown as { control: { pid: number } };
    process.kill(control.pid, 'SIGSTOP');
    undo.push(async () => void process.kill(control.pid, 'SIGCONT'));
    const stoppedMs = performance.now();
    // It works on meanwhile.
    while (performance.now() - stoppedMs < 10_000) {
      stream.write('on');
      expect((await readExactly(stream, 2)).toString()).toBe('on');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await ended;
    expect(performance.now() - stoppedMs).toBeLessThan(50_000);
    expect(await socksReply(socks, 'echo.mesh')).toBe(3);
    process.kill(control.pid, 'SIGCONT');
    await until(
      async () => socksReply(socks, 'echo.mesh'),
      (reply) => reply === 0,
      45_000,
    );
  },
);
