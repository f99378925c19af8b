import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { CLONE, findProcesses, runX0, X0Process } from '../harness/x0-process.ts';

interface Status {
  readonly nodes: readonly {
    readonly name: string;
    readonly spiffeId: string;
    readonly pid: number;
    readonly relay: boolean;
    readonly state: string;
    readonly listen: Readonly<Record<string, string | null>>;
    readonly peers: readonly {
      name: string;
      state: string;
      group: string;
      signature: string;
      notAfter: string;
      rttMs: number | null;
    }[];
    readonly services: readonly string[];
  }[];
  readonly services: readonly { name: string; nodes: readonly string[] }[];
}

let folder: string;
let dataDir: string;
let up: X0Process;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-up-'));
  dataDir = join(folder, 'mesh');
  up = await startUp();
});

afterAll(async () => {
  await up.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

async function startUp(): Promise<X0Process> {
  const started = new X0Process(CLONE, ['up', '--ephemeral', '--data-dir', dataDir]);
  await started.says(/Ctrl-C stops everything/);
  return started;
}

function x0(...args: readonly string[]): string {
  const { status, stdout, stderr } = runX0(CLONE, [...args, '--data-dir', dataDir]);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

function readStatus(): Status {
  return JSON.parse(x0('status', '--json')) as Status;
}

function nodeOf(name: string): Status['nodes'][number] {
  const node = readStatus().nodes.find((each) => each.name === name);
  if (node === undefined) throw new Error(`no node ${name}`);
  return node;
}

function curl(...args: readonly string[]): string {
  return spawnSync('curl', ['-sS', '--max-time', '10', ...args], { encoding: 'utf8' }).stdout;
}

describe('a mesh that was started by one command', () => {
  test('has six nodes up, with the peers, keys and signatures that it promises', () => {
    const { nodes, services } = readStatus();
    expect(nodes.map((node) => [node.name, node.state, node.relay])).toEqual([
      ['cairo', 'up', true],
      ['delhi', 'up', true],
      ['kyoto', 'up', true],
      ['lima', 'up', false],
      ['oslo', 'up', false],
      ['rome', 'up', true],
    ]);
    expect(services).toMatchObject([{ name: 'hello', nodes: ['lima'] }]);
    for (const { peers } of nodes) {
      for (const { group, signature } of peers) expect([group, signature]).toEqual(['X25519MLKEM768', 'ml-dsa-65']);
    }
  });

  test('has ends without a link to each other', () => {
    expect(
      nodeOf('oslo')
        .peers.map((peer) => peer.name)
        .toSorted(),
    ).toEqual(['delhi', 'rome']);
    expect(
      nodeOf('lima')
        .peers.map((peer) => peer.name)
        .toSorted(),
    ).toEqual(['cairo', 'kyoto']);
  });

  test('answers the curl line that it prints, and the HTTP proxy', async () => {
    const [, socks = ''] = await up.says(/curl --proxy (socks5h:\/\/\S+) http:\/\/hello\.mesh\//);
    expect(curl('--proxy', socks, 'http://hello.mesh/')).toMatch(/^hello from lima/);
    const http = `http://${nodeOf('oslo').listen['http'] ?? ''}`;
    expect(curl('--proxy', http, 'http://hello.mesh/')).toMatch(/^hello from lima/);
    expect(curl('--proxytunnel', '--proxy', http, 'http://hello.mesh:99/')).toMatch(/^hello from lima/);
    expect(curl('--proxy', http, 'http://nobody.mesh/')).toContain('SERVICE_UNKNOWN');
  });

  test('has two paths without a common relay', () => {
    const { primary, backup } = JSON.parse(x0('path', 'oslo', 'lima', '--json')) as Record<
      string,
      { hops: string[]; cost: number }
    >;
    const relays = [primary, backup]
      .flatMap((path) => path?.hops ?? [])
      .filter((hop) => hop !== 'oslo' && hop !== 'lima');
    expect(relays.toSorted()).toEqual(['cairo', 'delhi', 'kyoto', 'rome']);
  });

  test('measures a round trip and lists peers and streams', () => {
    expect(JSON.parse(x0('ping', 'lima', '--from', 'oslo', '--json'))).toMatchObject({ from: 'oslo', to: 'lima' });
    expect(x0('peers', 'oslo')).toContain('rome');
    expect(JSON.parse(x0('streams', '--json'))).toHaveProperty('streams');
  });

  test('keeps its keys to itself', () => {
    const modes = spawnSync(
      'find',
      [dataDir, '-type', 'f', '(', '-name', '*.key', '-o', '-name', '*.token', ')', '-perm', '/077'],
      { encoding: 'utf8' },
    );
    expect(modes.stdout).toBe('');
    expect(statSync(dataDir).mode & 0o077).toBe(0);
    const ours = findProcesses(dataDir);
    expect(findProcesses('x0join.').filter((pid) => ours.includes(pid))).toEqual([]);
  });

  test('refuses a second one in its directory', () => {
    const { status, stderr } = runX0(CLONE, ['up', '--ephemeral', '--data-dir', dataDir]);
    expect(stderr).toMatch(/^x0: DATA_DIR_IN_USE: .*\n$/);
    expect(status).toBe(3);
  });
});

test('a port in use is one clear line before anything starts', async () => {
  const taken = await listenTcp({ host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
  const other = join(folder, 'other');
  const base = String(Math.min(taken.address.port, 65_000));
  const { status, stdout, stderr } = runX0(CLONE, ['up', '--ports-base', base, '--data-dir', other]);
  await taken.close();
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toMatch(/^x0: PORT_IN_USE: 127\.0\.0\.1:\d+ is in use; .*\n$/);
  expect(findProcesses(other)).toEqual([]);
});

test('one more node joins by the line that is printed, and reaches the service', async () => {
  const [, token = ''] = await up.says(/node --join (x0join\.\S+)/);
  const guest = new X0Process(CLONE, ['node', '--data-dir', join(folder, 'guest'), '--join', token]);
  const [, socks = ''] = await guest.says(/node is up: SOCKS5 ([\d.:]+)/);
  await expect
    .poll(() => curl('--proxy', `socks5h://${socks}`, 'http://hello.mesh/'), { timeout: 15_000 })
    .toMatch(/^hello from lima/);
  expect(nodeOf('paris')).toMatchObject({ state: 'up', listen: { socks, link: null } });
  expect(await guest.end('SIGTERM')).toBe(0);
  await expect.poll(() => nodeOf('paris').state, { timeout: 10_000 }).toBe('down');
});

describe('when a node dies', () => {
  test('it is shown down with how to start it again, and that line works', async () => {
    process.kill(nodeOf('rome').pid, 'SIGKILL');
    const [, line = ''] = await up.says(/rome ended \(SIGKILL\); start it again in another terminal: \S+ (node .*)/);
    await expect.poll(() => nodeOf('rome').state, { timeout: 10_000 }).toBe('down');
    expect(x0('status')).toMatch(/rome is down since .*; start it again in another terminal: /);
    expect(x0('status')).toContain(line);
    const again = new X0Process(CLONE, line.split(' '));
    await expect.poll(() => nodeOf('rome').peers.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(4);
    expect(nodeOf('rome').state).toBe('up');
    expect(await up.end('SIGINT')).toBe(0);
    await expect.poll(() => up.output).toMatch(/\nstopped; state kept in .*; still running, .*: rome \(kill \d+\)\n$/);
    const { status, stderr } = runX0(CLONE, ['up', '--data-dir', dataDir]);
    expect([status, stderr]).toEqual([3, expect.stringMatching(/^x0: PORT_IN_USE: .* started by hand: rome /)]);
    const told = /rome \(kill (\d+)\)/.exec(stderr)?.[1];
    process.kill(Number(told), 'SIGTERM');
    await expect.poll(() => again.child.exitCode, { timeout: 10_000 }).toBe(0);
    up = await startUp();
  });
});

describe('a mesh that was stopped', () => {
  test('leaves no process and comes back as it was', async () => {
    const before = readStatus();
    const token = readFileSync(join(dataDir, 'admin.token'), 'utf8');
    expect(await up.end('SIGTERM')).toBe(0);
    expect(findProcesses(dataDir)).toEqual([]);
    up = await startUp();
    const after = readStatus();
    expect(after.nodes.map((node) => [node.spiffeId, node.listen])).toEqual(
      before.nodes.map((node) => [node.spiffeId, expect.anything()]),
    );
    expect(readFileSync(join(dataDir, 'admin.token'), 'utf8')).toBe(token);
  });

  test('starts without a node whose identity was revoked, and says how to get it back', async () => {
    const { pid } = nodeOf('delhi');
    expect(x0('node', 'revoke', 'delhi')).toMatch(
      /token create --node delhi --relay --data-dir \S+ admits it again\n$/,
    );
    process.kill(pid, 'SIGKILL');
    await up.says(/delhi ended \(SIGKILL\); it was revoked, or admitted again elsewhere\. .* rm -r \S+delhi, /);
    expect(await up.end('SIGTERM')).toBe(0);
    up = await startUp();
    await up.says(/a control plane and 5 nodes/);
    const [, directory = ''] = await up.says(/delhi is not started: .* rm -r (\S+),/);
    expect(await up.end('SIGTERM')).toBe(0);
    rmSync(directory, { recursive: true });
    up = await startUp();
    await up.says(/a control plane and 6 nodes/);
    expect(nodeOf('delhi')).toMatchObject({ state: 'up', revoked: false });
  });

  test('even by SIGKILL leaves no process', async () => {
    const pids = findProcesses(dataDir);
    expect(pids.length).toBeGreaterThanOrEqual(8);
    await up.end('SIGKILL');
    await expect.poll(() => findProcesses(dataDir), { timeout: 10_000 }).toEqual([]);
  });

  test('takes other free ports with --ephemeral when those of the last start are in use', async () => {
    const { ports } = JSON.parse(readFileSync(join(dataDir, 'up.json'), 'utf8')) as { ports: readonly number[] };
    const taken = await listenTcp({ host: '127.0.0.1', port: ports[0] ?? 0 }, (socket) => socket.destroy());
    up = await startUp();
    await taken.close();
    expect(up.output).not.toContain(`:${taken.address.port},`);
    expect(nodeOf('oslo').state).toBe('up');
  });
});
