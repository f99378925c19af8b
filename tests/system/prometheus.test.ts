import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../harness/free-port.ts';
import { SYSTEM_MISSING } from '../harness/system.ts';
import { UpMesh, until } from '../harness/up.ts';

const run = promisify(execFile);
let folder: string;
let mesh: UpMesh;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-prometheus-'));
  mesh = await UpMesh.start({ dataDir: join(folder, 'mesh') });
});

afterAll(async () => {
  await mesh.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Target {
  readonly address: string;
  readonly credentials: string;
}

async function targets(): Promise<readonly Target[]> {
  const { nodes, control } = (await mesh.status()) as Awaited<ReturnType<UpMesh['status']>> & {
    control: { admin: string };
  };
  return [
    { address: control.admin, credentials: join(mesh.dataDir, 'admin.token') },
    ...nodes.map(({ name, listen }) => ({
      address: String(listen.admin),
      credentials: join(mesh.dataDir, 'nodes', name, 'admin.token'),
    })),
  ];
}

test.skipIf(SYSTEM_MISSING !== undefined)(
  'Prometheus’ own checker finds nothing wrong with what we answer',
  async () => {
    for (const { address, credentials } of await targets()) {
      const headers = { authorization: `Bearer ${readFileSync(credentials, 'utf8').trim()}` };
      const text = await (await fetch(`http://${address}/metrics`, { headers })).text();
      const checking = run('promtool', ['check', 'metrics']);
      checking.child.stdin?.end(text);
      expect(await checking).toMatchObject({ stdout: '', stderr: '' });
    }
  },
);

test.skipIf(SYSTEM_MISSING !== undefined)(
  'a Prometheus that is configured as the documents say scrapes every node and the control plane',
  async () => {
    const all = await targets();
    const jobs = all.map(
      ({ address, credentials }, index) => `
  - job_name: x0-${index}
    scrape_interval: 1s
    authorization: { credentials_file: ${credentials} }
    static_configs: [{ targets: ['${address}'] }]`,
    );
    writeFileSync(join(folder, 'prometheus.yml'), `scrape_configs:${jobs.join('')}\n`);
    const listen = `127.0.0.1:${await freePort()}`;
    const prometheus = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'tsdb')}`,
        `--web.listen-address=${listen}`,
      ],
      { stdio: 'ignore' },
    );
    try {
      const ask = async (query: string): Promise<readonly { readonly value: readonly [number, string] }[]> => {
        const answer = await fetch(`http://${listen}/api/v1/query?query=${encodeURIComponent(query)}`);
        const { data } = (await answer.json()) as { data: { result: readonly { value: readonly [number, string] }[] } };
        return data.result;
      };
      const count = async (query: string): Promise<number> =>
        ask(query).then(
          (result) => result.length,
          () => 0,
        );
      await until(
        async () => count('up == 1'),
        (found) => found === all.length,
        30_000,
      );
      expect(await count('x0tta6bl4_control_connected == 1')).toBe(6);
      expect(await ask('x0tta6bl4_nodes{state="up"}')).toMatchObject([{ value: [expect.any(Number), '6'] }]);
      expect(await count('histogram_quantile(0.95, x0tta6bl4_http_request_seconds_bucket)')).toBeGreaterThan(0);
    } finally {
      prometheus.kill('SIGKILL');
      await new Promise((resolve) => prometheus.once('exit', resolve));
    }
  },
);
