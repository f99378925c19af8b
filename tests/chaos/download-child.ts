/** The two ends of the demonstration's download, each in a process of its own: `serve` a file over HTTP, `fetch` it by SOCKS5. */
import { createHash } from 'node:crypto';
import { createServer, get } from 'node:http';
import type { Socket } from 'node:net';
import { openBySocks } from '../harness/tcp.ts';
import { type Gap, now } from './gaps.ts';

export type DownloadOrder =
  | { readonly order: 'serve'; readonly port: number; readonly bytes: number; readonly bytesPerSecond: number }
  | { readonly order: 'fetch'; readonly proxyPort: number; readonly service: string };

export type DownloadSaying =
  | { readonly say: 'serving' }
  /** `gaps`: since what was said before. */
  | { readonly say: 'progress'; readonly bytes: number; readonly gaps: readonly Gap[] }
  | {
      readonly say: 'done';
      readonly bytes: number;
      readonly sha256: string;
      readonly promised: string;
      readonly gaps: readonly Gap[];
    }
  | { readonly say: 'failed'; readonly bytes: number; readonly why: string };

const BLOCK_BYTES = 262_144;
const PROGRESS_MS = 100;
const NOTED_GAP_MS = 20;
const KNOWN_TIMEOUT_MS = 20_000;

process.on('message', (order: DownloadOrder) => {
  if (order.order === 'serve') serve(order.port, order.bytes, order.bytesPerSecond);
  else void fetchFile(order.proxyPort, order.service);
});
process.on('disconnect', () => process.exit(0));

function say(saying: DownloadSaying): void {
  process.send?.(saying);
}

/** Block `index` of the file: different from all others. */
function blockOf(index: number, length: number): Buffer {
  const block = Buffer.alloc(length, createHash('sha512').update(`block ${index}`).digest());
  block.writeUInt32BE(index);
  return block;
}

function blocksOf(bytes: number): number[] {
  const lengths = Array.from({ length: Math.floor(bytes / BLOCK_BYTES) }, () => BLOCK_BYTES);
  return bytes % BLOCK_BYTES === 0 ? lengths : [...lengths, bytes % BLOCK_BYTES];
}

function serve(port: number, bytes: number, bytesPerSecond: number): void {
  const lengths = blocksOf(bytes);
  const hash = createHash('sha256');
  for (const [index, length] of lengths.entries()) hash.update(blockOf(index, length));
  const headers = { 'content-length': bytes, 'x-sha256': hash.digest('hex') };
  createServer((_request, response) => {
    response.writeHead(200, headers);
    const startMs = now();
    let index = 0;
    let sent = 0;
    const pump = (): void => {
      while (index < lengths.length && sent <= ((now() - startMs) / 1000) * bytesPerSecond) {
        const length = lengths[index] ?? 0;
        sent += length;
        if (!response.write(blockOf(index++, length))) return void response.once('drain', pump);
      }
      if (index === lengths.length) response.end();
      else setTimeout(pump, 2);
    };
    pump();
  }).listen(port, '127.0.0.1', () => say({ say: 'serving' }));
}

/** A service is known everywhere a moment after it was published. */
async function openWhenKnown(proxyPort: number, service: string): Promise<Socket> {
  const deadlineMs = now() + KNOWN_TIMEOUT_MS;
  for (;;) {
    try {
      return await openBySocks(proxyPort, service);
    } catch (error) {
      if (now() > deadlineMs) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, PROGRESS_MS);
      });
    }
  }
}

async function fetchFile(proxyPort: number, service: string): Promise<void> {
  const socket = await openWhenKnown(proxyPort, service);
  const hash = createHash('sha256');
  let bytes = 0;
  let lastMs = now();
  let gaps: Gap[] = [];
  const fail = (error: Error): void => say({ say: 'failed', bytes, why: error.message });
  const timer = setInterval(() => {
    say({ say: 'progress', bytes, gaps });
    gaps = [];
  }, PROGRESS_MS);
  const request = get({ host: `${service}.mesh`, path: '/', createConnection: () => socket }, (response) => {
    response.on('error', fail);
    response.on('data', (chunk: Buffer) => {
      const atMs = now();
      const gapMs = atMs - lastMs;
      if (gapMs >= NOTED_GAP_MS) gaps.push({ fromMs: lastMs, gapMs });
      lastMs = atMs;
      bytes += chunk.byteLength;
      hash.update(chunk);
    });
    response.on('end', () => {
      clearInterval(timer);
      const promised = String(response.headers['x-sha256']);
      say({ say: 'done', bytes, sha256: hash.digest('hex'), promised, gaps });
    });
  });
  request.on('error', fail);
}
