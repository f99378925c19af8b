import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { freePort } from '../harness/static-mesh.ts';
import { openBySocks, openEcho, receiveText, type TcpBackend } from '../harness/tcp.ts';
import { askX0, portOf, type Status, UpMesh, until } from '../harness/up.ts';
import { CLONE, findProcesses, X0Process, type X0Result } from '../harness/x0-process.ts';

// Each of these waits for several programs to start.
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
let started: X0Process[] = [];
let echo: TcpBackend;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-apart-'));
  echo = await openEcho();
});

afterEach(async () => {
  await Promise.all(started.map(async (program) => program.end('SIGTERM')));
  started = [];
});

afterAll(async () => {
  await echo.close();
  rmSync(folder, { recursive: true, force: true });
});

/** `x0 control` and `x0 node` as a user runs them on several hosts, here on one address of loopback. */
class ApartMesh {
  readonly #folder: string;
  readonly #control: readonly string[];
  readonly host: string;

  private constructor(name: string, host: string, control: readonly string[]) {
    this.#folder = join(folder, name);
    this.host = host;
    this.#control = control;
  }

  static async create(name: string, host = '127.0.0.1'): Promise<ApartMesh> {
    const [admin, listen] = [await freePort(), await freePort()];
    return new ApartMesh(name, host, ['--admin', `127.0.0.1:${admin}`, '--listen', `${host}:${listen}`]);
  }

  async startControl(): Promise<X0Process> {
    const control = run('control', '--data-dir', this.#folder, '--allow-members', ...this.#control);
    await until(
      async () => (await this.ask('status')).status,
      (status) => status === 0,
      15_000,
    );
    return control;
  }

  async ask(...args: readonly string[]): Promise<X0Result> {
    return await askX0(CLONE, [...args, '--data-dir', this.#folder]);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.ask('status', '--json')).stdout) as Status;
  }

  /** Where this mesh's control plane takes nodes. */
  enrolment(): string {
    const { enrolment } = JSON.parse(readFileSync(join(this.#folder, 'control.json'), 'utf8')) as { enrolment: string };
    return enrolment;
  }

  async token(node: string, ...args: readonly string[]): Promise<string> {
    return (await this.ask('token', 'create', '--node', node, ...args)).stdout.trim();
  }

  nodeDir(name: string): string {
    return join(this.#folder, 'nodes', name);
  }

  startNode(name: string, ...args: readonly string[]): X0Process {
    const listeners = ['--socks', '127.0.0.1:0', '--http', 'off', '--admin', 'off'];
    return run('node', '--data-dir', this.nodeDir(name), ...listeners, ...args);
  }

  async relayArguments(): Promise<readonly string[]> {
    return ['--relay', '--link', `${this.host}:${await freePort()}`];
  }

  async untilPeers(name: string, peers: readonly string[]): Promise<Status> {
    const wanted = peers.toSorted().join(' ');
    return await until(
      async () => await this.status(),
      ({ nodes }) =>
        nodes
          .find((node) => node.name === name)
          ?.peers.map((peer) => peer.name)
          .toSorted()
          .join(' ') === wanted,
      20_000,
    );
  }
}

function run(...args: readonly string[]): X0Process {
  const program = new X0Process(CLONE, args);
  started.push(program);
  return program;
}

/** What the HTTP proxy at `port` answers for the site. */
async function fetchThrough(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write('GET http://site.mesh/ HTTP/1.1\r\nHost: site.mesh\r\nConnection: close\r\n\r\n');
  return await text(socket);
}

async function said(program: X0Process): Promise<string> {
  return await program.says(/$never/).then(
    () => '',
    () => program.output,
  );
}

describe.each(['127.0.0.1', '[::1]'])('a mesh of parts at %s', (host) => {
  test('comes together though everything it needs is away at first', async () => {
    const mesh = await ApartMesh.create(`parts-${host.length}`, host);
    const control = await mesh.startControl();
    const [rome, lima] = [await mesh.token('rome', '--relay'), await mesh.token('lima')];
    await control.end('SIGTERM');

    // Nobody to join at yet.
    const romeArguments = await mesh.relayArguments();
    const early = mesh.startNode('rome', '--join', rome, ...romeArguments);
    await early.says(/CONTROL_UNREACHABLE/);
    const second = await mesh.startControl();
    await early.says(/node is up/);
    mesh.startNode('lima', '--join', lima);
    await mesh.untilPeers('lima', ['rome']);
    await mesh.ask('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
    const [, , limaProgram] = [second, early, started.at(-1)];

    // Now each comes back while the others are away.
    await Promise.all([second.end('SIGKILL'), early.end('SIGKILL'), limaProgram?.end('SIGKILL')]);
    const limaAgain = mesh.startNode('lima');
    await limaAgain.says(/CONTROL_UNREACHABLE/);
    mesh.startNode('rome', ...romeArguments);
    await mesh.startControl();
    await mesh.untilPeers('rome', ['lima']);
    const { nodes } = await mesh.untilPeers('lima', ['rome']);
    expect(nodes.map((node) => [node.name, node.state, node.listen.link])).toEqual([
      ['lima', 'up', null],
      ['rome', 'up', romeArguments[2]],
    ]);
    const socks = portOf(nodes.find((node) => node.name === 'rome')?.listen.socks);
    const client = await until(
      async () => await openBySocks(socks, 'echo').catch(() => undefined),
      (socket) => socket !== undefined,
      5000,
    );
    client?.end('across');
    expect(client === undefined ? '' : await receiveText(client)).toBe('across');
  });
});

describe('the worked example of docs/guide/apart.md', () => {
  test('says what is missing while there is no relay, and works once there is one', async () => {
    const mesh = await ApartMesh.create('example');
    await mesh.startControl();
    for (const name of ['web', 'laptop']) {
      await mesh.startNode(name, '--join', await mesh.token(name), '--http', '127.0.0.1:0').says(/node is up/);
    }
    expect((await mesh.ask('expose', 'site', '--to', `127.0.0.1:${echo.port}`, '--node', 'web')).status).toBe(0);
    const { stdout } = await mesh.ask('status');
    expect(stdout).toMatch(
      /\nlaptop and web have no way to each other: no relay is up; make one: \S+ token create --relay --node NAME, then \S+ node --join TOKEN --relay --link HOST:PORT/,
    );
    const ping = await mesh.ask('ping', 'web', '--from', 'laptop');
    expect([ping.status, ping.stderr]).toEqual([1, expect.stringMatching(/^x0: NO_PATH: .* → `\S+ status` says what/)]);
    const path = await mesh.ask('path', 'laptop', 'web');
    expect([path.status, path.stderr]).toEqual([
      1,
      expect.stringMatching(/^x0: NO_PATH: laptop knows no path to web →/),
    ]);
    const { nodes } = await mesh.status();
    const laptop = nodes.find((node) => node.name === 'laptop');
    const refused = await fetchThrough(portOf(laptop?.listen.http));
    expect(refused).toMatch(/"code":"NO_PATH","message":".*x0 status.*a relay that both reach/);

    const relay = await mesh.token('relay-1', '--relay');
    mesh.startNode('relay-1', '--join', relay, ...(await mesh.relayArguments()));
    await mesh.untilPeers('relay-1', ['laptop', 'web']);
    const client = await until(
      async () => await openBySocks(portOf(laptop?.listen.socks), 'site').catch(() => undefined),
      (socket) => socket !== undefined,
      10_000,
    );
    client?.end('across');
    expect(client === undefined ? '' : await receiveText(client)).toBe('across');
    expect((await mesh.ask('path', 'laptop', 'web')).stdout).toContain('laptop > relay-1 > web');
    expect((await mesh.ask('status')).stdout).not.toContain('no way');
  });

  test('a token of another node does not take the place of the one that lives in a directory', async () => {
    const mesh = await ApartMesh.create('places');
    await mesh.startControl();
    const web = mesh.startNode('web', '--join', await mesh.token('web'));
    await web.says(/node is up/);
    expect(await web.end('SIGTERM')).toBe(0);
    const other = mesh.startNode('web', '--join', await mesh.token('laptop'));
    expect(await said(other)).toMatch(/x0: IDENTITY_DIFFERS: .* the node web, .* laptop → .*--data-dir DIRECTORY\n/);
    expect(other.child.exitCode).toBe(3);
    const again = mesh.startNode('web', '--join', await mesh.token('web'));
    await again.says(/node is up/);
    await again.end('SIGTERM');

    await mesh.ask('node', 'revoke', 'web');
    const revoked = mesh.startNode('web');
    expect(await said(revoked)).toMatch(/x0: CERT_REVOKED: the identity of web in .* → \S+ token create --node NAME /);
    expect([revoked.child.exitCode, revoked.output.includes('node is up')]).toEqual([1, false]);
  });
});

describe('joining', () => {
  let mesh: ApartMesh;

  beforeAll(async () => {
    mesh = await ApartMesh.create('joining');
  });

  test('a token is for one use, one name and this mesh, and a node without one says what it needs', async () => {
    await mesh.startControl();
    const token = await mesh.token('rome', '--label', 'site=eu');
    const rome = mesh.startNode('rome', '--join', token);
    await rome.says(/node is up/);

    const used = mesh.startNode('other', '--join', token);
    expect(await said(used)).toMatch(/x0: TOKEN_USED: .*\n/);
    const garbled = mesh.startNode('other', '--join', `${token.slice(0, -9)}AAAAAAAAA`);
    expect(await said(garbled)).toMatch(/x0: TOKEN_\w+: .*\n/);
    const without = mesh.startNode('other');
    expect(await said(without)).toMatch(/x0: JOIN_NEEDED: .*\n/);
    const twice = mesh.startNode('rome');
    expect(await said(twice)).toMatch(/x0: DATA_DIR_IN_USE: .*\n/);
    for (const program of [used, garbled, without, twice]) expect(program.child.exitCode).toBeGreaterThan(0);

    const stranger = await ApartMesh.create('stranger');
    await stranger.startControl();
    const elsewhere = ['--control', stranger.enrolment()];
    const misled = mesh.startNode('misled', '--join', await mesh.token('misled'), ...elsewhere);
    expect(await said(misled)).toMatch(/x0: (ROOT_MISMATCH|CONTROL_UNTRUSTED): .*\n/);
  });

  test('a port in use is one clear line', async () => {
    const control = await mesh.startControl();
    const node = mesh.startNode('taken', '--join', await mesh.token('taken'), '--link', `127.0.0.1:${echo.port}`);
    expect(await said(node)).toMatch(/x0: PORT_IN_USE: 127\.0\.0\.1:\d+ .*\n/);
    expect(node.child.exitCode).toBe(3);
    const again = run('control', '--data-dir', join(folder, 'joining'));
    expect(await said(again)).toMatch(/^x0: DATA_DIR_IN_USE: .*\n$/);
    expect(await control.end('SIGTERM')).toBe(0);
  });
});

describe('x0 up', () => {
  test('a second start finds the same authority, nodes and certificates; Ctrl-C ends all, at once and while starting', async () => {
    const mesh = await UpMesh.start();
    started.push(mesh.up);
    const before = await facts(mesh);
    expect(await mesh.up.end('SIGINT')).toBe(0);
    expect(findProcesses(mesh.dataDir)).toEqual([]);

    await mesh.restart();
    started.push(mesh.up);
    expect(await facts(mesh)).toEqual(before);
    expect(await mesh.up.end('SIGINT')).toBe(0);

    const hasty = new X0Process(CLONE, ['up', '--data-dir', mesh.dataDir]);
    await until(
      () => findProcesses(mesh.dataDir).length,
      (count) => count > 4,
      10_000,
    );
    expect(await hasty.end('SIGINT')).toBe(0);
    expect(findProcesses(mesh.dataDir)).toEqual([]);
    await mesh.stop();
  });
});

/** What a restart must not change. */
async function facts(mesh: UpMesh): Promise<unknown> {
  const root = createHash('sha256')
    .update(readFileSync(join(mesh.dataDir, 'root.crt')))
    .digest('hex');
  const { nodes, services } = await mesh.status();
  const kept = nodes.map((node) => ({
    ...node,
    pid: 0,
    peers: node.peers.map((peer) => `${peer.name} until ${peer.notAfter}`).toSorted(),
    counters: {},
    heardAt: null,
    snapshotVersion: 0,
    snapshotIssuedAt: null,
  }));
  return { root, services, nodes: kept };
}
