import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AdminClient, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from '../../bin/program-flags.js';
import { POSTGRES_MISSING, PostgresDatabases } from '../../tests/harness/databases.ts';
import { endProgram } from '../../tests/harness/program.ts';
import { REDIS_MISSING, RedisServer } from '../../tests/harness/redis.ts';
import type { ApiLoad, ApiLoadResult } from '../lib/api-child.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { quantile } from '../lib/statistics.ts';

const USERS = 100;
const NODES = 6;
const READS_PER_SECOND = 2_000;
const CALM_READS_PER_SECOND = 500;
const LOGINS_PER_SECOND = 20;
const SECONDS = Number(process.env['API_SECONDS'] ?? 15);
/** The first requests compile what the later ones use. */
const WARM_UP_SECONDS = 3;
const PASSWORD = 'correct horse battery';
const READS = ['/users/me', '/services', '/nodes', '/status'].map((path) => `/api/v1${path}`);
const CHILD = fileURLToPath(new URL('../lib/api-child.ts', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../src/apps/cli/main.ts', import.meta.url));

/** A control plane in a process of its own, with people in it. */
interface Subject {
  readonly address: string;
  readonly tokens: readonly string[];
  stop(): Promise<void>;
}

/** The API under reads and logins, by an open model: latency counts from the time at which a request was meant to be sent. */
export const api: Scenario = {
  name: 'api',
  about: `${USERS} users who read, and ${LOGINS_PER_SECOND} logins a second beside them, ${SECONDS} s each`,
  run: async () => {
    const figures = [...(await measure('SQLite', {}))];
    if (POSTGRES_MISSING !== undefined || REDIS_MISSING !== undefined) return figures;
    const databases = new PostgresDatabases();
    const redis = await RedisServer.start();
    try {
      const environment = { DATABASE_URL: await databases.create(), REDIS_URL: redis.url };
      figures.push(...(await measure('PostgreSQL + Redis', environment)));
    } finally {
      await redis.stop();
      await databases.stop();
    }
    return figures;
  },
};

async function measure(kind: string, environment: Readonly<Record<string, string>>): Promise<readonly Figure[]> {
  const subject = await startSubject(environment);
  try {
    const reads = { address: subject.address, method: 'GET', paths: READS, tokens: subject.tokens } as const;
    const calmReads = { ...reads, perSecond: CALM_READS_PER_SECOND, seconds: SECONDS, expected: [200] };
    await load({ ...calmReads, seconds: WARM_UP_SECONDS });
    const crowd = await load({ ...calmReads, perSecond: READS_PER_SECOND });
    const calm = await load(calmReads);
    const [beside, logins] = await Promise.all([load(calmReads), load(loginsOf(subject))]);
    return [...crowdFigures(kind, crowd), ...loginFigures(kind, calm, beside, logins)];
  } finally {
    await subject.stop();
  }
}

function loginsOf({ address }: Subject): ApiLoad {
  const body = { name: 'user-0', password: PASSWORD };
  const asked = { address, method: 'POST', paths: ['/api/v1/users/login'], tokens: [], body } as const;
  return { ...asked, perSecond: LOGINS_PER_SECOND, seconds: SECONDS, expected: [200, 503] };
}

function crowdFigures(kind: string, { latenciesMs, errors, tookMs }: ApiLoadResult): readonly Figure[] {
  const what = `${kind}: reads offered at ${READS_PER_SECOND}/s`;
  const perSecond = (latenciesMs.length * 1_000) / tookMs;
  return [
    figure(`${what}, p95`, quantile(latenciesMs, 0.95), 'ms', 50),
    figure(`${what}, p99`, quantile(latenciesMs, 0.99), 'ms', 100),
    figure(`${what}, errors`, (100 * errors) / latenciesMs.length, '%', 0.1),
    {
      ...figure(`${what}, answered`, perSecond, '/s', 0),
      // The last answer comes after the last request: the whole of 2,000 a second is never reached.
      bar: { kind: 'at least', value: READS_PER_SECOND * 0.99 },
    },
  ];
}

function loginFigures(
  kind: string,
  calm: ApiLoadResult,
  beside: ApiLoadResult,
  logins: ApiLoadResult,
): readonly Figure[] {
  const what = `${kind}: reads at ${CALM_READS_PER_SECOND}/s`;
  const [before, during] = [quantile(calm.latenciesMs, 0.95), quantile(beside.latenciesMs, 0.95)];
  const done = logins.byStatus['200'] ?? 0;
  return [
    { name: `${what}, p95`, value: before, unit: 'ms', samples: [] },
    figure(`${what}, p95 beside ${LOGINS_PER_SECOND} logins/s`, during, 'ms', 50),
    figure(`${what}, p95 beside logins by p95 without`, during / before, 'x', 2),
    figure(`${what} beside logins, errors`, (100 * beside.errors) / beside.latenciesMs.length, '%', 0.1),
    {
      name: `${kind}: logins that were let in`,
      value: (done * 1_000) / logins.tookMs,
      unit: '/s',
      samples: [],
      note: JSON.stringify(logins.byStatus),
    },
  ];
}

function figure(name: string, value: number, unit: string, most: number): Figure {
  return { name, value, unit, bar: { kind: 'at most', value: most }, samples: [] };
}

async function load(wanted: ApiLoad): Promise<ApiLoadResult> {
  const child = fork(CHILD, { execArgv: [...PROGRAM_FLAGS], env: { ...process.env, ...PROGRAM_ENVIRONMENT } });
  try {
    child.send(wanted);
    const [result] = (await once(child, 'message')) as [ApiLoadResult & { failure?: string }];
    if (result.failure !== undefined) throw new Error(result.failure);
    return result;
  } finally {
    child.kill();
  }
}

async function startSubject(environment: Readonly<Record<string, string>>): Promise<Subject> {
  const dataDir = mkdtempSync(join(tmpdir(), 'x0-bench-api-'));
  const words = ['control', '--data-dir', dataDir, '--admin', '127.0.0.1:0', '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [...PROGRAM_FLAGS, PROGRAM, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...PROGRAM_ENVIRONMENT, ...environment, LOG_LEVEL: 'silent' },
  });
  const stop = async (): Promise<void> => {
    await endProgram(child);
    rmSync(dataDir, { recursive: true });
  };
  try {
    const client = new AdminClient(dataDir);
    await awaitStart(client, child);
    await addNodes(client);
    const { admin } = JSON.parse(readFileSync(join(dataDir, 'control.json'), 'utf8')) as { admin: string };
    return { address: admin, tokens: await addUsers(client, admin, dataDir), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function awaitStart(client: AdminClient, child: ChildProcess): Promise<void> {
  for (;;) {
    try {
      await client.ask('GET', '/version');
      return;
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }
}

async function addNodes(client: AdminClient): Promise<void> {
  for (let at = 0; at < NODES; at++) {
    const node = `node-${at}`;
    const { token } = await client.ask('POST', '/tokens', { node });
    await enrolNode({ token: String(token) });
    await client.ask('PUT', `/services/service-${at}/instances/${node}`, { host: '127.0.0.1', port: 9_000 + at });
  }
}

async function addUsers(client: AdminClient, api: string, dataDir: string): Promise<readonly string[]> {
  const stranger = new AdminClient(dataDir, { api, isOpen: true });
  const tokens: string[] = [];
  for (let at = 0; at < USERS; at++) {
    const { code } = await client.ask('POST', '/users/invitations', { role: 'viewer' });
    const opened: JsonObject = await stranger.ask('POST', '/users/register', {
      code,
      name: `user-${at}`,
      password: PASSWORD,
    });
    tokens.push(String(opened['token']));
  }
  return tokens;
}
