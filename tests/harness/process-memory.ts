/** Looks for bytes in the memory of another process. Needs root, and Linux. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

interface Region {
  readonly start: number;
  readonly end: number;
}

/** What a search saw: how often the bytes were there, and how much was looked at. */
interface MemorySearch {
  readonly hits: number;
  readonly searchedBytes: number;
}

const PAGE_BYTES = 4096;
const BLOCK_BYTES = 16_777_216;
const PRESENT_OR_SWAPPED = 0xc0;

/** Counts `needle` in every page that the process holds. */
export function searchMemory(pid: number, needle: Uint8Array): MemorySearch {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  let hits = 0;
  let searchedBytes = 0;
  try {
    for (const { start, end } of heldRegions(pid, pagemap)) {
      const bytes = Buffer.allocUnsafe(end - start);
      const length = readHeld(memory, bytes, start);
      searchedBytes += length;
      hits += countIn(bytes.subarray(0, length), needle);
    }
  } finally {
    closeSync(pagemap);
    closeSync(memory);
  }
  return { hits, searchedBytes };
}

/** Counts `needle` in bytes. */
export function countIn(bytes: Buffer, needle: Uint8Array): number {
  let hits = 0;
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) hits++;
  return hits;
}

/** Runs of pages that exist; most of what V8 reserves does not. */
function* heldRegions(pid: number, pagemap: number): Generator<Region> {
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? [];
    const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
    // Above lies [vsyscall], which is the kernel's.
    if (from === '' || end > 2 ** 47) continue;
    yield* heldPages(pagemap, start, end);
  }
}

function* heldPages(pagemap: number, start: number, end: number): Generator<Region> {
  const ENTRIES_AT_ONCE = 131_072;
  const entries = Buffer.allocUnsafe(ENTRIES_AT_ONCE * 8);
  let runStart: number | undefined;
  for (let page = start; page < end; page += ENTRIES_AT_ONCE * PAGE_BYTES) {
    const count = Math.min(ENTRIES_AT_ONCE, (end - page) / PAGE_BYTES);
    const read = readSync(pagemap, entries, 0, count * 8, (page / PAGE_BYTES) * 8) / 8;
    for (let index = 0; index < read; index++) {
      const at = page + index * PAGE_BYTES;
      const isHeld = ((entries[index * 8 + 7] ?? 0) & PRESENT_OR_SWAPPED) !== 0;
      if (isHeld) runStart ??= at;
      if (runStart === undefined || (isHeld && at - runStart < BLOCK_BYTES)) continue;
      yield { start: runStart, end: isHeld ? at + PAGE_BYTES : at };
      runStart = undefined;
    }
  }
  if (runStart !== undefined) yield { start: runStart, end };
}

function readHeld(memory: number, bytes: Buffer, start: number): number {
  try {
    return readSync(memory, bytes, 0, bytes.byteLength, start);
  } catch (error) {
    // The region went away, or belongs to a device ([vvar]).
    if (error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'EFAULT')) return 0;
    throw error;
  }
}
