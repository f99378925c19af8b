import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figure, Scenario } from '../lib/figure.ts';
import { median } from '../lib/statistics.ts';

const RUNS = 5;
const IDLE_MS = 5_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

interface Status {
  readonly nodes: readonly { readonly name: string; readonly pid: number }[];
}

/** `x0 up` on an empty data directory: how long until it says that it is up, and what its idle nodes hold then. */
export const startup: Scenario = {
  name: 'startup',
  about: `${RUNS} first starts of x0 up, and the nodes' memory ${IDLE_MS / 1000} s later`,
  run: async () => {
    const seconds: number[] = [];
    const resident: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      const dataDir = mkdtempSync(join(tmpdir(), 'x0-bench-'));
      const startMs = performance.now();
      const child = spawn(join(root, 'x0'), ['up', '--ephemeral', '--data-dir', dataDir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await said(child.stdout, 'is up');
      seconds.push((performance.now() - startMs) / 1000);
      await new Promise((resolve) => {
        setTimeout(resolve, IDLE_MS);
      });
      for (const { pid } of (await status(dataDir)).nodes) resident.push(residentMiB(pid));
      child.kill('SIGTERM');
      await once(child, 'exit');
      rmSync(dataDir, { recursive: true, force: true });
    }
    return [
      most('x0 up, ready', median(seconds), 's', 6, seconds),
      most('idle node, RSS, the largest of all', Math.max(...resident), 'MiB', 90, resident),
    ];
  },
};

function most(name: string, value: number, unit: string, bar: number, samples: readonly number[]): Figure {
  return { name, value, unit, bar: { kind: 'at most', value: bar }, samples };
}

async function said(stream: NodeJS.ReadableStream, words: string): Promise<void> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes(words)) return;
  }
  throw new Error(`x0 up ended: ${text}`);
}

async function status(dataDir: string): Promise<Status> {
  const child = spawn(join(root, 'x0'), ['status', '--json', '--data-dir', dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(child, 'close');
  return JSON.parse(text) as Status;
}

function residentMiB(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} tells no VmRSS`);
  return Number(kilobytes) / 1024;
}
