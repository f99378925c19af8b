import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '#kernel/code-of.ts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { freePort } from '../harness/free-port.ts';
import { SeverableWire } from '../harness/severable.ts';
import { echoThrough, openEcho } from '../harness/tcp.ts';
import { UpMesh, until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

// Each of these waits for several programs to start.
vi.setConfig({ testTimeout: 90_000 });

let folder: string;
let mesh: UpMesh;
let wire: SeverableWire;
let node: X0Process;
let admin: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-outage-'));
  mesh = await UpMesh.start();
  const { control } = (await mesh.status()) as unknown as { control: { enrolment: string } };
  wire = await SeverableWire.open(control.enrolment);
  const token = (await mesh.x0('token', 'create', '--node', 'bergen')).trim();
  admin = `127.0.0.1:${await freePort()}`;
  const listeners = ['--socks', '127.0.0.1:0', '--http', 'off', '--admin', admin];
  node = new X0Process(CLONE, ['node', '--data-dir', folder, '--join', token, '--control', wire.address, ...listeners]);
  await until(
    () => metric('x0tta6bl4_control_connected'),
    (value) => value === 1,
    30_000,
  );
}, 90_000);

afterEach(async () => {
  await node.end('SIGTERM');
  wire.close();
  await mesh.stop();
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

/** One number of the node that the wire leads to; undefined before it listens. */
async function metric(name: string): Promise<number | undefined> {
  try {
    const token = readFileSync(join(folder, 'admin.token'), 'utf8').trim();
    const answer = await fetch(`http://${admin}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    const line = (await answer.text()).split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  } catch (error) {
    // No file yet, or nobody listens yet.
    if (codeOf(error) !== 'ENOENT' && !(error instanceof TypeError)) throw error;
    return undefined;
  }
}

test('a node that the control plane does not reach learns what changes from its neighbours', async () => {
  const echo = await openEcho();
  await until(
    () => metric('x0tta6bl4_tunnels{kind="link"}'),
    (links) => (links ?? 0) > 0,
    20_000,
  );
  wire.cut();
  await until(
    () => metric('x0tta6bl4_control_connected'),
    (value) => value === 0,
    10_000,
  );
  const before = (await metric('x0tta6bl4_snapshot_version')) ?? 0;
  const port = await freePort();
  await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
  await mesh.tryX0('forward', 'echo', '--listen', `127.0.0.1:${port}`, '--node', 'bergen');
  await until(
    () => metric('x0tta6bl4_snapshot_version'),
    (version) => (version ?? 0) >= before + 2,
    10_000,
  );
  await until(
    async () => echoThrough(port).catch(() => ''),
    (answer) => answer !== '',
    10_000,
  );
  expect(await metric('x0tta6bl4_control_connected')).toBe(0);
  await echo.close();
});
