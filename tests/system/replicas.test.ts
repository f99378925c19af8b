import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { PostgresDatabases } from '../harness/databases.ts';
import { freePort } from '../harness/free-port.ts';
import { RedisServer } from '../harness/redis.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const postgres = new PostgresDatabases();

interface Replica {
  readonly program: X0Process;
  readonly client: AdminClient;
}

async function versionOf(client: AdminClient): Promise<number> {
  const { control } = await client.ask('GET', '/status');
  const snapshot = isObject(control) ? control['snapshot'] : undefined;
  return Number(isObject(snapshot) ? snapshot['version'] : undefined);
}

/** What a control plane says of a node. */
async function nodeOf(client: AdminClient, name: string): Promise<JsonObject> {
  const { nodes } = await client.ask('GET', '/status');
  const found = Array.isArray(nodes) ? nodes.filter(isObject).find((node) => node['name'] === name) : undefined;
  return found ?? {};
}

async function believed({ client }: Replica, name: string): Promise<number> {
  return Number((await nodeOf(client, name))['snapshotVersion']);
}

async function isLinked({ client }: Replica, name: string, peer: string): Promise<boolean> {
  const { peers } = await nodeOf(client, name);
  return Array.isArray(peers) && peers.some((each) => isObject(each) && each['name'] === peer);
}

/** Waits for what is to come; resolves to how long that took. */
async function msUntil(what: string, isSo: () => Promise<boolean>, limitMs = 20_000): Promise<number> {
  const startMs = performance.now();
  while (!(await isSo())) {
    if (performance.now() - startMs > limitMs) throw new Error(`it was not seen: ${what}`);
    await sleep(10);
  }
  return performance.now() - startMs;
}

describe.skipIf(SYSTEM_MISSING !== undefined)('two control planes on one PostgreSQL', () => {
  let scratch: string;
  let databaseUrl: string;
  let redis: RedisServer | undefined;
  let started: X0Process[];
  let advertised: readonly [string, string];

  beforeEach(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'x0-replicas-'));
    databaseUrl = await postgres.create();
    started = [];
    advertised = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  });
  afterEach(async () => {
    for (const { child } of started) child.kill('SIGCONT');
    await Promise.all(started.map(async (program) => program.end('SIGTERM')));
    await redis?.stop();
    redis = undefined;
    rmSync(scratch, { recursive: true });
  });
  afterAll(async () => postgres.stop());

  /** Tokens of both name both, each itself first. */
  async function startReplica(name: 'one' | 'two'): Promise<Replica> {
    const dataDir = join(scratch, name);
    if (name === 'two') {
      mkdirSync(dataDir, { mode: 0o700 });
      for (const file of ['root.key', 'root.crt']) copyFileSync(join(scratch, 'one', file), join(dataDir, file));
    }
    const [first, second] = advertised;
    const [own, other] = name === 'one' ? [first, second] : [second, first];
    const listeners = ['--listen', own, '--advertise', own, '--advertise', other];
    const environment = { DATABASE_URL: databaseUrl, REDIS_URL: redis?.url ?? '' };
    const words = ['control', '--data-dir', dataDir, ...listeners, '--admin', '127.0.0.1:0'];
    const program = new X0Process(CLONE, words, environment);
    started.push(program);
    await program.says(/the control plane is ready/);
    return { program, client: new AdminClient(dataDir) };
  }

  async function startNode(name: string, at: AdminClient): Promise<X0Process> {
    const { token } = await at.ask('POST', '/tokens', { node: name, relay: true });
    const link = `127.0.0.1:${await freePort()}`;
    const free = ['--link', link, '--socks', '127.0.0.1:0', '--http', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const words = ['node', '--join', String(token), '--relay', '--data-dir', join(scratch, name), ...free];
    const program = new X0Process(CLONE, words);
    started.push(program);
    await program.says(/the node is ready/);
    return program;
  }

  test('have issuing keys of their own, hold nodes that link to each other, and publish one line of versions that rests', async () => {
    redis = await RedisServer.start();
    const one = await startReplica('one');
    const two = await startReplica('two');
    await startNode('oslo', one.client);
    await startNode('rome', two.client);
    await msUntil('oslo links to rome', async () => isLinked(one, 'oslo', 'rome'));
    await msUntil('rome links to oslo', async () => isLinked(two, 'rome', 'oslo'));
    const isSettled = async (): Promise<boolean> => (await versionOf(one.client)) === (await versionOf(two.client));
    await msUntil('both have one version', isSettled);
    await sleep(1_500);
    const before = await versionOf(one.client);
    await two.client.ask('PUT', '/services/hello/instances/oslo', { host: '127.0.0.1', port: 8090 });
    const text = 'permit(principal, action == X0::Action::"connect", resource == X0::Service::"hello");';
    await two.client.ask('PUT', '/policies/hello', { text });
    const after = await versionOf(two.client);
    expect(after).toBeGreaterThan(before);
    const tookMs = [
      await msUntil('the other control plane', async () => (await versionOf(one.client)) === after),
      await msUntil('its node', async () => (await believed(one, 'oslo')) === after),
      await msUntil('the node here', async () => (await believed(two, 'rome')) === after),
    ];
    const totalMs = tookMs.reduce((sum, each) => sum + each, 0);
    process.stdout.write(`a change is at both control planes and both nodes after ${totalMs.toFixed(0)} ms\n`);
    // The nodes' own word about it comes with their next report.
    expect(totalMs).toBeLessThan(1_000);
    const watched = new Set<number>();
    for (let second = 0; second < 20; second++) {
      watched.add(await versionOf(one.client)).add(await versionOf(two.client));
      await sleep(500);
    }
    expect([...watched]).toEqual([after]);
    const said = `${one.program.output}${two.program.output}`;
    for (const url of [databaseUrl, redis.url]) expect(said).not.toContain(new URL(url).password);
  });

  test('one of them keeps house, and when it is gone the other does so within 3 s', async () => {
    const one = await startReplica('one');
    await one.program.says(/keeps house/);
    const two = await startReplica('two');
    const { control } = await one.client.ask('GET', '/status');
    const pid = isObject(control) ? Number(control['pid']) : 0;
    await sleep(1_500);
    expect(two.program.output).not.toContain('keeps house');
    const goneMs = performance.now();
    process.kill(pid, 'SIGKILL');
    await two.program.says(/keeps house/);
    const tookMs = performance.now() - goneMs;
    process.stdout.write(`the other replica keeps house after ${tookMs.toFixed(0)} ms\n`);
    expect(tookMs).toBeLessThan(3_000);
  });

  test('a new one admits nobody before the nodes know it, and sends them to the other; without Redis too', async () => {
    const one = await startReplica('one');
    const oslo = await startNode('oslo', one.client);
    oslo.child.kill('SIGSTOP');
    const two = await startReplica('two');
    const { token } = await two.client.ask('POST', '/tokens', { node: 'rome' });
    expect(two.program.output).not.toContain('know the issuer');
    // The token names the new one first, which refuses; the other one admits.
    const rome = new X0Process(CLONE, ['node', '--join', String(token), '--data-dir', join(scratch, 'rome'), ...FREE]);
    started.push(rome);
    await rome.says(/the node is ready/);
    expect(one.program.output).toContain('a node was admitted');
    expect(two.program.output).not.toContain('a node was admitted');
    oslo.child.kill('SIGCONT');
    await two.program.says(/all nodes know the issuer of this control plane/);
    const cairo = await startNode('cairo', two.client);
    expect(two.program.output).toContain('a node was admitted');
    await msUntil('cairo links to oslo', async () => isLinked(two, 'cairo', 'oslo'));
    expect(cairo.output).not.toMatch(/CERT_|SIGNATURE/);
  });
});

const FREE = ['--socks', '127.0.0.1:0', '--http', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
