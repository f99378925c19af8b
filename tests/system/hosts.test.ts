import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Network } from '../harness/namespaces.ts';
import { readFlows, readHello } from '../harness/pcap.ts';
import { endProgram, runProgram, startProgram } from '../harness/program.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { UpMesh, until } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const root = dirname(dirname(import.meta.dirname));
const HOST = '10.77.1.1';
const X25519MLKEM768 = 0x11ec;
const TLS13 = 0x0304;
/** ML-DSA-44, -65 and -87 (draft-ietf-tls-mldsa). */
const ML_DSA = [0x0904, 0x0905, 0x0906];

/**
 * base 10.77.1.1 ── 10.77.1.2 router 10.77.2.1 ── 10.77.2.2 home (behind NAT)
 *      10.77.3.1 ── 10.77.3.2 far
 */
describe.skipIf(SYSTEM_MISSING !== undefined)('machines of their own', () => {
  let folder: string;
  let network: Network;
  let mesh: UpMesh;
  let farDevice: string;
  const guests: X0Process[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'x0-hosts-'));
    network = new Network();
    for (const host of ['base', 'router', 'home', 'far']) network.addHost(host);
    network.connect({ host: 'base', address: `${HOST}/24` }, { host: 'router', address: '10.77.1.2/24' });
    network.connect({ host: 'router', address: '10.77.2.1/24' }, { host: 'home', address: '10.77.2.2/24' });
    [, farDevice] = network.connect(
      { host: 'base', address: '10.77.3.1/24' },
      { host: 'far', address: '10.77.3.2/24' },
    );
    network.run('far', 'ip', 'route', 'add', 'default', 'via', '10.77.3.1');
    network.run('home', 'ip', 'route', 'add', 'default', 'via', '10.77.2.1');
    network.run('router', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    network.run('router', 'nft', NAT_RULES);
    mesh = await UpMesh.start({ command: network.x0('base', CLONE), args: ['--host', HOST] });
  });

  afterAll(async () => {
    network.remove();
    await Promise.all([...guests, mesh.up].map(async (program) => program.end('SIGTERM')));
    await mesh.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function curl(host: string, socks: string, url: string): Promise<string> {
    return (await runProgram(network.on(host, 'curl', '-sS', '--max-time', '10', '--proxy', `socks5h://${socks}`, url)))
      .stdout;
  }

  async function greeting(host: string, socks = '127.0.0.1:1080'): Promise<string> {
    return await until(
      async () => await curl(host, socks, 'http://hello.mesh/'),
      (text) => text !== '',
      15_000,
    );
  }

  test('the join line works as printed on another machine, over hellos that name post-quantum algorithms only', async () => {
    const capture = join(folder, 'far.pcap');
    const tcpdump = await startProgram(
      network.on('far', 'tcpdump', '-U', '-s', '0', '-i', farDevice, '-w', capture, 'tcp'),
      /listening on/,
    );
    const [, line = ''] = await mesh.up.says(
      /Add a machine \(on any machine that reaches this one.*\n {2}(\.\/x0 node --join [^\n]+)\n/,
    );
    const guest = new X0Process(network.on('far', 'bash', '-c', `cd ${root} && exec ${line}`), [], {
      X0_DATA_DIR: join(folder, 'far'),
    });
    guests.push(guest);
    await guest.says(/node is up: SOCKS5 127\.0\.0\.1:1080/);
    expect(await greeting('far')).toMatch(/^hello from lima/);
    const paris = await until(
      async () => await mesh.node('paris'),
      (node) => node.peers.length === 3,
      15_000,
    );
    expect(paris.state).toBe('up');
    await endProgram(tcpdump);

    const hellos = readFlows(capture).flatMap((flow) => readHello(flow.bytes) ?? []);
    const clients = hellos.filter((hello) => hello.kind === 'client');
    const servers = hellos.filter((hello) => hello.kind === 'server');
    // Enrolment, the session, and three links.
    expect(clients.length).toBeGreaterThanOrEqual(5);
    expect(servers.length).toBe(clients.length);
    for (const client of clients) {
      expect(client).toMatchObject({ versions: [TLS13], groups: [X25519MLKEM768], keyShares: [X25519MLKEM768] });
      expect(client.signatures.filter((signature) => !ML_DSA.includes(signature))).toEqual([]);
      expect(client.signatures.length).toBeGreaterThan(0);
    }
    for (const server of servers) expect(server).toMatchObject({ versions: [TLS13], keyShares: [X25519MLKEM768] });
  }, 60_000);

  test('a node behind NAT without an address reaches others and publishes a service that others reach', async () => {
    const token = (await mesh.x0('token', 'create', '--node', 'home')).trim();
    const backend = await startProgram(network.on('home', process.execPath, '-e', BACKEND), /serving/);
    const home = new X0Process(network.x0('home', CLONE), [
      'node',
      '--data-dir',
      join(folder, 'home'),
      '--join',
      token,
    ]);
    guests.push(home);
    await home.says(/node is up/);
    expect(await greeting('home')).toMatch(/^hello from lima/);

    await mesh.x0('expose', 'attic', '--to', '127.0.0.1:9000', '--node', 'home');
    const oslo = (await mesh.node('oslo')).listen.socks ?? '';
    const fromOslo = await until(
      async () => await curl('base', oslo, 'http://attic.mesh/'),
      (text) => text !== '',
      10_000,
    );
    expect(fromOslo).toBe('from behind the router');
    expect(await curl('far', '127.0.0.1:1080', 'http://attic.mesh/')).toBe('from behind the router');
    expect((await mesh.node('home')).listen.link).toBeNull();
    const reachable = await runProgram(network.on('base', 'ping', '-c', '1', '-W', '1', '10.77.2.2'));
    expect(reachable.status).not.toBe(0);
    await endProgram(backend);
  }, 60_000);

  test('a node whose router forgot its connections comes back by itself', async () => {
    expect((await mesh.node('home')).peers).toHaveLength(3);
    network.run('router', 'nft', 'insert rule ip filter forward counter drop');
    const cutMs = performance.now();
    await until(
      async () => (await mesh.status()).nodes.flatMap((node) => node.peers.map((peer) => peer.name)),
      (peers) => !peers.includes('home'),
      30_000,
    );
    console.log(`a silent link was given up after ${((performance.now() - cutMs) / 1000).toFixed(1)} s`);
    network.run('router', 'nft', 'flush ruleset');
    network.run('router', 'nft', NAT_RULES);
    const back = await until(
      async () => await mesh.node('home'),
      (node) => node.state === 'up' && node.peers.length >= 3,
      60_000,
    );
    console.log(`back ${((performance.now() - cutMs) / 1000).toFixed(1)} s after the cut`);
    expect(back.peers.filter((peer) => peer.state !== 'up')).toEqual([]);
    expect(await greeting('home')).toMatch(/^hello from lima/);
  }, 120_000);
});

const NAT_RULES = `
  table ip nat {
    chain postrouting {
      type nat hook postrouting priority 100
      ip saddr 10.77.2.0/24 masquerade
    }
  }
  table ip filter {
    chain forward {
      type filter hook forward priority 0; policy drop
      ct state established,related accept
      ip saddr 10.77.2.0/24 accept
    }
  }`;

const BACKEND = `require('node:http').createServer((_, answer) => answer.end('from behind the router'))
  .listen(9000, '127.0.0.1', () => console.log('serving'))`;
