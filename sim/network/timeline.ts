import { Heap } from '#topology/heap.ts';

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  readonly act: () => void;
}

/** Events of one run: a livelock must be a failure and not a hang. */
const MAX_EVENTS = 60_000_000;
/** Events at one instant of virtual time: more of them than this means that time stands still. */
const MAX_EVENTS_AT_ONCE = 3_000_000;

/** Virtual time: what is to happen, in order of time and, at one instant, of asking. */
export class Timeline {
  readonly #entries = new Heap<Entry>((a, b) => a.atMs - b.atMs || a.sequence - b.sequence);
  #sequence = 0;
  #atOnce = 0;
  nowMs = 0;
  eventCount = 0;

  /** Calls `act` at `atMs`, or now if that has passed. */
  at(atMs: number, act: () => void): void {
    this.#entries.push({ atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, act });
  }

  after(delayMs: number, act: () => void): void {
    this.at(this.nowMs + delayMs, act);
  }

  /** Runs everything up to and including `untilMs`. */
  runUntil(untilMs: number): void {
    for (let entry = this.#entries.shift(); entry !== undefined; entry = this.#entries.shift()) {
      if (entry.atMs > untilMs) {
        this.#entries.push(entry);
        break;
      }
      this.#advance(entry.atMs);
      entry.act();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #advance(atMs: number): void {
    this.eventCount++;
    this.#atOnce = atMs > this.nowMs ? 0 : this.#atOnce + 1;
    this.nowMs = atMs;
    if (this.eventCount > MAX_EVENTS || this.#atOnce > MAX_EVENTS_AT_ONCE)
      throw new Error(`no rest at ${this.nowMs} ms after ${this.eventCount} events`);
  }
}
