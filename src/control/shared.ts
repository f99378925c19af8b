/** What a window has counted, and when it begins anew. */
export interface WindowCount {
  readonly count: number;
  readonly resetsInMs: number;
}

/** `degraded`: what replicas should share is this process's own, until they are in touch again. */
export type SharedCondition = 'up' | 'degraded';

/**
 * What replicas share for a short time: counters of rates, small values that may be lost, notices. Nothing here decides alone:
 * what must be true is in the database. No method rejects; one that cannot reach the others falls back to what this process
 * knows by itself and says so in `state()`. Keys and channels are at most 256 characters, values 64 KiB. The conformance suite
 * in `tests/fixtures/shared-state-suite.ts` is the specification.
 */
export interface SharedState {
  /** Adds one to a window that begins with its first count and ends `windowMs` later. */
  increment(key: string, windowMs: number): Promise<WindowCount>;
  /** What was set and has neither ended nor been deleted. While degraded: only what this process set since. */
  get(key: string): Promise<string | undefined>;
  /** `ttlMs` is at least 1. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
  /** To every subscriber of every replica, this one included; at most once each, and lost where there is no connection. */
  publish(channel: string, text: string): Promise<void>;
  /** The listener is called until the function that comes back is. */
  subscribe(channel: string, listener: (text: string) => void): () => void;
  state(): SharedCondition;
  close(): Promise<void>;
}
