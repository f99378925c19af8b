import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { CodedError } from '#control/coded-error.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { freePort } from '../harness/static-mesh.ts';
import { until } from '../harness/up.ts';
import { CLONE, findProcesses, X0Process } from '../harness/x0-process.ts';

// A control plane is started again many times.
vi.setConfig({ testTimeout: 90_000 });

let folder: string;
let dataDir: string;
let ports: readonly string[];
let control: X0Process;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-ends-'));
  dataDir = join(folder, 'control');
  ports = ['--admin', `127.0.0.1:${await freePort()}`, '--listen', `127.0.0.1:${await freePort()}`];
  await startControl();
});

afterAll(async () => {
  await control.end('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function startControl(): Promise<void> {
  control = new X0Process(CLONE, ['control', '--data-dir', dataDir, '--allow-members', ...ports]);
  await control.says(/control plane is up|enrolment/);
}

/** Every process of it, so that none says goodbye. */
async function killControl(): Promise<void> {
  for (const pid of findProcesses(dataDir)) process.kill(pid, 'SIGKILL');
  await control.end('SIGKILL');
  await until(
    () => findProcesses(dataDir).length,
    (count) => count === 0,
    5000,
  );
}

async function ask(path: string, body?: unknown): Promise<Record<string, unknown>> {
  const credential = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  const answer = await fetch(`http://${ports[1]}/api/v1/${path}`, {
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json', connection: 'close' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  return (await answer.json()) as Record<string, unknown>;
}

async function enrol(token: string): Promise<string> {
  return await enrolNode({ token, addresses: ['127.0.0.1:7101'] }).then(
    () => 'OK',
    (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
  );
}

/** Where a node that was asked for a moment ago is known, and what its token is worth. */
async function afterwards(node: string, token: string): Promise<string> {
  const known = (await ask('nodes'))['nodes'] as readonly { name: string; addresses: readonly string[] }[];
  const found = known.find((each) => each.name === node);
  return `${found === undefined ? 'absent' : `there at ${found.addresses.join()}`}, then ${await enrol(token)}`;
}

/** Waits for one of `count` moments of what takes about `wholeMs` here: from its start to a little after its end. */
async function awaitMoment(index: number, count: number, wholeMs: number): Promise<void> {
  await sleep((1.25 * wholeMs * index) / (count - 1));
}

async function measureJoinMs(node: string): Promise<number> {
  const { token } = await ask('tokens', { node });
  const startMs = performance.now();
  expect(await enrol(String(token))).toBe('OK');
  return performance.now() - startMs;
}

function makeTokens(prefix: string): readonly Promise<string>[] {
  return Array.from({ length: 10 }, async (_unused, index) => {
    const { token } = await ask('tokens', { node: `${prefix}-${index}` });
    return String(token);
  });
}

const KILLS = 20;
const STOPS = 6;
const KILLS_WHILE_MAKING = 5;

test('a control plane that is killed while a node joins: the token is used and the node is there, or neither', async () => {
  const outcomes: string[] = [];
  const joinMs = await measureJoinMs('measured');
  for (let i = 0; i < KILLS; i++) {
    const { token } = await ask('tokens', { node: `node${i}` });
    const joining = enrol(String(token));
    await awaitMoment(i, KILLS, joinMs);
    await killControl();
    const joined = await joining;
    await startControl();
    outcomes.push(`${joined}: ${await afterwards(`node${i}`, String(token))}`);
  }
  console.log(outcomes.map((outcome) => outcome.slice(0, outcome.indexOf(' '))).join(' '));
  const whole = ['there at 127.0.0.1:7101, then TOKEN_USED', 'absent, then OK'];
  expect(outcomes.filter((outcome) => !whole.some((end) => outcome.endsWith(end)))).toEqual([]);
  expect(outcomes.filter((outcome) => !/^(?:OK: there|CONTROL_UNREACHABLE: )/.test(outcome))).toEqual([]);
});

test('a control plane that is told to stop while a node joins: the node is served or waits for the next one', async () => {
  const joinMs = await measureJoinMs('early');
  for (let i = 0; i < STOPS; i++) {
    const { token } = await ask('tokens', { node: `late${i}` });
    const joining = enrol(String(token));
    await awaitMoment(i, STOPS, joinMs);
    await control.end('SIGTERM');
    expect(await joining).toMatch(/^(?:OK|CONTROL_UNREACHABLE)$/);
    await startControl();
  }
});

test('a control plane that is killed while tokens are made: what was handed out counts after its restart', async () => {
  const startMs = performance.now();
  await Promise.all(makeTokens('tried'));
  const makingMs = performance.now() - startMs;
  for (let i = 0; i < KILLS_WHILE_MAKING; i++) {
    const settled = Promise.allSettled(makeTokens(`made${i}`));
    await awaitMoment(i, KILLS_WHILE_MAKING, makingMs);
    await killControl();
    const tokens = (await settled).flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    await startControl();
    expect(await Promise.all(tokens.slice(0, 3).map(enrol))).toEqual(tokens.slice(0, 3).map(() => 'OK'));
  }
});
