/** How often a program looks at itself. */
const LOOK_MS = 2_000;
/** Busier than this share of a core, it has better things to do. */
const IDLE_SHARE = 0.05;
/** Grown by less than this since the last time, a collection is not worth its pause of some ten milliseconds. */
const WORTH_BYTES = 4 * 1024 * 1024;

/**
 * Gives memory back to the system when the program has nothing to do: what starting left behind, and what a busy hour did. The
 * collector alone would wait until the memory is wanted. Does nothing where the collector cannot be called (`--expose-gc`).
 */
export class MemoryKeeper {
  readonly #timer: NodeJS.Timeout;
  #cpu = process.cpuUsage();
  #keptBytes = 0;

  constructor() {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const spent = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    const isIdle = (spent.user + spent.system) / 1000 < LOOK_MS * IDLE_SHARE;
    if (!isIdle || process.memoryUsage.rss() < this.#keptBytes + WORTH_BYTES) return;
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    this.#keptBytes = process.memoryUsage.rss();
  }
}
