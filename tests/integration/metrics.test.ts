import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBySocks } from '../harness/tcp.ts';
import { UpMesh, until } from '../harness/up.ts';

const root = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(root, 'docs/reference/metrics.md'), 'utf8');
let mesh: UpMesh;

beforeAll(async () => {
  mesh = await UpMesh.start();
}, 60_000);
afterAll(async () => mesh.stop());

/** Names of metrics in the section with this heading. */
function documented(...headings: readonly string[]): ReadonlySet<string> {
  const sections = page
    .split(/^## /m)
    .filter((section) => headings.some((heading) => section.startsWith(`${heading}\n`)));
  return new Set(
    sections.flatMap((section) => [...section.matchAll(/^\| `(x0tta6bl4_\w+)`/gm)].map(([, name = '']) => name)),
  );
}

async function scrape(address: string | null | undefined, tokenFile: string): Promise<string> {
  const token = readFileSync(tokenFile, 'utf8').trim();
  const answer = await fetch(`http://${address}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status).toBe(200);
  return await answer.text();
}

async function scrapeNode(name: string): Promise<string> {
  const { listen } = await mesh.node(name);
  return await scrape(listen.admin, join(mesh.dataDir, 'nodes', name, 'admin.token'));
}

function familiesOf(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name));
}

/** Prometheus refuses an answer that says a series twice. */
function seriesOf(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')));
}

function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1));
}

describe('metrics', () => {
  test('a node says what the page says, and nothing else', async () => {
    const families = familiesOf(await scrapeNode('oslo'));
    expect(families).toEqual(documented('Of a node', 'Of both'));
    expect(families.size).toBeGreaterThan(15);
  });

  test('a control plane says what the page says, and nothing else, to who may read its status', async () => {
    const { control } = (await mesh.status()) as unknown as { control: { admin: string } };
    expect((await fetch(`http://${control.admin}/metrics`)).status).toBe(401);
    const text = await scrape(control.admin, join(mesh.dataDir, 'admin.token'));
    expect(new Set(seriesOf(text)).size).toBe(seriesOf(text).length);
    expect(familiesOf(text)).toEqual(documented('Of a control plane', 'Of both'));
    expect(valueOf(text, 'x0tta6bl4_nodes{state="up"}')).toBe(6);
    expect(text).toMatch(
      /x0tta6bl4_http_request_seconds_count\{method="GET",route="\/api\/v1\/status",status="2xx"\} \d+/,
    );
    expect(valueOf(text, 'x0tta6bl4_database_query_seconds_count')).toBeGreaterThan(10);
  });

  test('a stream shows in the numbers of both its ends', async () => {
    const before = valueOf(await scrapeNode('oslo'), 'x0tta6bl4_stream_open_seconds_count');
    const stream = await openBySocks(await mesh.socks('oslo'), 'hello');
    const ends = await Promise.all([scrapeNode('oslo'), scrapeNode('lima')]);
    expect(valueOf(ends[0], 'x0tta6bl4_streams{role="client",state="open"}')).toBe(1);
    expect(valueOf(ends[1], 'x0tta6bl4_streams{role="server",state="open"}')).toBe(1);
    stream.destroy();
    const after = await until(
      () => scrapeNode('oslo'),
      (text) => valueOf(text, 'x0tta6bl4_stream_open_seconds_count') > before,
      5_000,
    );
    expect(new Set(seriesOf(after)).size).toBe(seriesOf(after).length);
    expect(after).toMatch(/x0tta6bl4_link_round_trip_seconds\{peer="\w+"\} 0\.\d+/);
    expect(valueOf(after, 'x0tta6bl4_control_connected')).toBe(1);
    expect(valueOf(after, 'x0tta6bl4_snapshot_version')).toBeGreaterThan(0);
  });

  test('every event that the program counts is on the page, and the page names no other', () => {
    const events = page.split('## Events')[1]?.split('\n## ')[0] ?? '';
    const named = new Set([...events.matchAll(/`([a-z][a-z-]+)`/g)].map(([, name = '']) => name));
    const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .map((path) => readFileSync(join(root, 'src', path), 'utf8'))
      .join('\n');
    const counted = [...source.matchAll(/counters\.add\(\s*['`]([a-z][a-z-]*?)[-.]?(?:\$\{|['`])/g)].map(
      ([, name = '']) => name,
    );
    expect(counted.length).toBeGreaterThan(40);
    const isNamed = (name: string): boolean =>
      named.has(name) || [...named].some((each) => name.startsWith(`${each}-`));
    expect(counted.filter((name) => !isNamed(name))).toEqual([]);
    expect([...named].filter((name) => !new RegExp(`['\`]${name}\\b`).test(source))).toEqual([]);
  });
});
