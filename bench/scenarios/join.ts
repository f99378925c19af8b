import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { joinMesh } from '#io/control-client/join.ts';
import { POSTGRES_MISSING, PostgresDatabases } from '../../tests/harness/databases.ts';
import { REDIS_MISSING, RedisServer } from '../../tests/harness/redis.ts';
import { CLONE, X0Process } from '../../tests/harness/x0-process.ts';
import type { Figure, Scenario } from '../lib/figure.ts';
import { median } from '../lib/statistics.ts';

const JOINS = 100;
const BAR_SECONDS = 30;
const GIVE_UP_MS = 120_000;
const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

/** A fleet that is started at once: each node makes its key and request, and spends its token over TLS. */
export const join: Scenario = {
  name: 'join',
  about: `${JOINS} nodes join at once, from one process, with keys, requests and TLS of their own`,
  run: async () => {
    const figures = [await measure('SQLite', {})];
    if (POSTGRES_MISSING !== undefined || REDIS_MISSING !== undefined) return figures;
    const [postgres, redis] = [new PostgresDatabases(), await RedisServer.start()];
    try {
      const environment = { DATABASE_URL: await postgres.create(), REDIS_URL: redis.url };
      return [...figures, await measure('PostgreSQL and Redis', environment)];
    } finally {
      await redis.stop();
      await postgres.stop();
    }
  },
};

async function measure(name: string, environment: Record<string, string>): Promise<Figure> {
  const dataDir = joinPath(mkdtempSync(joinPath(tmpdir(), 'x0-bench-join-')), 'control');
  const control = new X0Process(CLONE, ['control', '--data-dir', dataDir, ...LISTENERS], environment);
  try {
    await control.says(/the control plane is ready/);
    const client = new AdminClient(dataDir);
    const tokens: string[] = [];
    for (let node = 0; node < JOINS; node++)
      tokens.push(String((await client.ask('POST', '/tokens', { node: `node-${node}` }))['token']));
    let tries = JOINS;
    // As a node does: who is refused for the crowd tries again.
    const onRetry = (): void => void tries++;
    const signal = AbortSignal.timeout(GIVE_UP_MS);
    const startMs = performance.now();
    const tookMs = await Promise.all(
      tokens.map(async (token, node) => {
        const nodeDir = joinPath(dataDir, '..', `node-${node}`);
        await joinMesh({ token, dataDir: nodeDir, addresses: [], controlAddress: undefined, onRetry, signal });
        return performance.now() - startMs;
      }),
    );
    const value = Math.max(...tookMs) / 1_000;
    const note = `median ${(median(tookMs) / 1_000).toFixed(2)} s, ${tries} tries`;
    return {
      name: `until all are admitted, ${name}`,
      value,
      unit: 's',
      bar: { kind: 'at most', value: BAR_SECONDS },
      samples: tookMs,
      note,
    };
  } finally {
    await control.end('SIGTERM');
    rmSync(joinPath(dataDir, '..'), { recursive: true, force: true });
  }
}
