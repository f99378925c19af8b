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
  control = new X0Process(CLONE, ['control', '--data-dir', dataDir, ...ports]);
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

const KILLS = 20;

test('a control plane that is killed while a node joins: the token is used and the node is there, or neither', async () => {
  const outcomes: string[] = [];
  for (let i = 0; i < KILLS; i++) {
    const { token } = await ask('tokens', { node: `node${i}` });
    const joining = enrol(String(token));
    // A join takes 20 to 60 ms here.
    await sleep(10 + 3 * i);
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
  for (let i = 0; i < 6; i++) {
    const { token } = await ask('tokens', { node: `late${i}` });
    const joining = enrol(String(token));
    await sleep(8 + 2 * i);
    await control.end('SIGTERM');
    expect(await joining).toMatch(/^(?:OK|CONTROL_UNREACHABLE)$/);
    await startControl();
  }
});

test('a control plane that is killed while tokens are made: what was handed out counts after its restart', async () => {
  for (let i = 0; i < 5; i++) {
    const making = Array.from({ length: 10 }, async (_unused, index) => {
      const { token } = await ask('tokens', { node: `made${i}-${index}` });
      return String(token);
    });
    const settled = Promise.allSettled(making);
    await sleep(3 * i);
    await killControl();
    const tokens = (await settled).flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    await startControl();
    expect(await Promise.all(tokens.slice(0, 3).map(enrol))).toEqual(tokens.slice(0, 3).map(() => 'OK'));
  }
});
