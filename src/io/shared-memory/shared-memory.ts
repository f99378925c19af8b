import type { SharedCondition, SharedState, WindowCount } from '#control/shared.ts';

/** Of counters, and of values: beyond it what has ended goes, then the oldest. Some 20 MB at the usual size of keys. */
const ENTRY_LIMIT = 50_000;

interface Entry {
  readonly endsMs: number;
  readonly value: string;
}

interface Window {
  readonly endsMs: number;
  count: number;
}

/** One process that shares with nobody, and what a replica falls back to. Times are of `nowMs`, monotonic. */
export class SharedMemory implements SharedState {
  readonly #nowMs: () => number;
  readonly #windows = new Map<string, Window>();
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Map<string, Set<(text: string) => void>>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  async increment(key: string, windowMs: number): Promise<WindowCount> {
    const nowMs = this.#nowMs();
    const known = this.#windows.get(key);
    const window = known !== undefined && known.endsMs > nowMs ? known : { count: 0, endsMs: nowMs + windowMs };
    window.count += 1;
    if (window !== known) keep(this.#windows, key, window, nowMs);
    return { count: window.count, resetsInMs: window.endsMs - nowMs };
  }

  async get(key: string): Promise<string | undefined> {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.endsMs > this.#nowMs() ? entry.value : undefined;
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    const nowMs = this.#nowMs();
    keep(this.#entries, key, { value, endsMs: nowMs + ttlMs }, nowMs);
  }

  async delete(key: string): Promise<void> {
    this.#entries.delete(key);
  }

  async publish(channel: string, text: string): Promise<void> {
    for (const listener of this.#listeners.get(channel) ?? []) listener(text);
  }

  subscribe(channel: string, listener: (text: string) => void): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(channel) === listeners) this.#listeners.delete(channel);
    };
  }

  state(): SharedCondition {
    return 'up';
  }

  /** Forgets values and counters; subscribers stay. */
  clear(): void {
    this.#windows.clear();
    this.#entries.clear();
  }

  async close(): Promise<void> {
    this.clear();
    this.#listeners.clear();
  }
}

/** Puts the newest last; at the limit what has ended goes, or else the oldest. */
function keep<T extends { readonly endsMs: number }>(map: Map<string, T>, key: string, value: T, nowMs: number): void {
  map.delete(key);
  if (map.size >= ENTRY_LIMIT) sweep(map, nowMs);
  map.set(key, value);
}

function sweep(map: Map<string, { readonly endsMs: number }>, nowMs: number): void {
  const before = map.size;
  for (const [key, { endsMs }] of map) if (endsMs <= nowMs) map.delete(key);
  if (map.size < before) return;
  // A tenth at a time, so that a full map is not walked for every key.
  for (const key of map.keys().take(Math.ceil(ENTRY_LIMIT / 10))) map.delete(key);
}
