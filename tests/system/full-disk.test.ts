import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { openBySocks, openEcho, readExactly, type TcpBackend } from '../harness/tcp.ts';
import { UpMesh, until } from '../harness/up.ts';
import { findProcesses } from '../harness/x0-process.ts';

const DISK = '16m';
/** A node that ends because it cannot log has ended after this. */
const ENDING_MS = 2_000;

describe.skipIf(SYSTEM_MISSING !== undefined)('a data directory on a disk that is full', () => {
  let disk: string;
  let mesh: UpMesh;
  let echo: TcpBackend;

  beforeAll(async () => {
    disk = mkdtempSync(join(tmpdir(), 'x0-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0700`, 'tmpfs', disk]);
    echo = await openEcho();
    mesh = await UpMesh.start({ dataDir: join(disk, 'data') });
    await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
  });

  afterAll(async () => {
    await mesh.stop();
    await echo.close();
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  });

  /** Takes all that is left. */
  function fill(): void {
    for (const size of [1_048_576, 4096]) {
      const { bavail, bsize } = statfsSync(disk);
      for (let left = bavail * bsize; left >= size; left -= size)
        writeFileSync(join(disk, 'filler'), Buffer.alloc(size), { flag: 'a' });
    }
  }

  async function roundTrip(port?: number): Promise<string> {
    const socket = await openBySocks(port ?? (await mesh.socks('oslo')), 'echo');
    try {
      socket.write('hello');
      return (await readExactly(socket, 5)).toString();
    } finally {
      socket.destroy();
    }
  }

  test('refuses by name what must be kept, serves on, loses no node for a line of its log, and works again when there is room', async () => {
    await until(
      async () => await roundTrip().catch(String),
      (answer) => answer === 'hello',
      5000,
    );
    const pids = (await mesh.status()).nodes.map(({ pid }) => pid);
    const more = ['expose', 'more', '--to', `127.0.0.1:${echo.port}`, '--node', 'kyoto'];
    fill();
    for (const args of [more, ['token', 'create', '--node', 'bergen'], ['unexpose', 'hello', '--node', 'lima']]) {
      const { status, stderr } = await mesh.tryX0(...args);
      expect([status, stderr]).toEqual([3, expect.stringMatching(/^x0: DISK_FULL: .*make room.*\n$/)]);
    }
    expect((await mesh.status()).nodes.map(({ state }) => state)).toEqual(pids.map(() => 'up'));
    expect(await roundTrip()).toBe('hello');
    rmSync(join(disk, 'filler'));
    await mesh.x0(...more);

    fill();
    const port = await mesh.socks('oslo');
    // Every node has something to log now.
    const ofMesh = new Set(findProcesses(mesh.dataDir));
    for (const pid of findProcesses('\0control\0')) if (ofMesh.has(pid)) process.kill(pid, 'SIGKILL');
    await mesh.up.says(/CHILD_ENDED: [^\n]*SIGKILL/);
    await pause(ENDING_MS);
    expect(await roundTrip(port)).toBe('hello');
    const alive = findProcesses(mesh.dataDir);
    expect(pids.filter((pid) => !alive.includes(pid))).toEqual([]);
  });
});
