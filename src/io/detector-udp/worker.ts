import { Detector } from '#mesh/detector/detector.ts';
import type { DetectorWorkerData, FromDetector, ProbeAddress, ToDetector } from './messages.ts';
import { ProbeSockets } from './probe-sockets.ts';
import { sealPorts } from './probe-seal.ts';
import { SharedLife } from './shared-life.ts';

const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');

/** A main thread that did not tick for this long does no work. */
const HUNG_MS = 1_000;
const COUNTS_INTERVAL_MS = 1_000;
/** What starting left behind is given back then. */
const SETTLED_MS = 2_000;

/** The detector's thread: one machine, its sockets and its timer. */
class DetectorThread {
  readonly #life: SharedLife;
  readonly #detector: Detector<ProbeAddress>;
  readonly #sockets: ProbeSockets;
  readonly #slots = new Map<number, number>();
  readonly #post: (message: FromDetector) => void;
  readonly #lateMs: number;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #tick = 0;
  #tickMs = performance.now();
  #countsMs = 0;
  #counts = '';

  constructor({ shared, profile, listen }: DetectorWorkerData, post: (message: FromDetector) => void) {
    this.#life = new SharedLife(shared);
    this.#lateMs = profile.intervalMs;
    this.#post = post;
    this.#detector = new Detector(sealPorts, profile, performance.now());
    this.#sockets = new ProbeSockets({
      listen,
      handleProbe: (bytes, from) => {
        this.#detector.handleProbe(bytes, from, performance.now());
        this.#settle();
      },
      handleUnbound: (code) => post({ kind: 'unbound', code }),
      handleUnsent: () => this.#detector.counters.add('probe-unsent'),
    });
  }

  handle(message: ToDetector): void {
    if (message.kind === 'watch') {
      this.#slots.set(message.link.id, message.slot);
      this.#detector.watch(message.link, performance.now());
    } else {
      this.#slots.delete(message.link);
      this.#detector.unwatch(message.link);
    }
    this.#settle();
  }

  #settle(): void {
    for (let output = this.#detector.poll(); output !== undefined; output = this.#detector.poll()) {
      if (output.kind === 'send') this.#sockets.send(output.bytes, output.to);
      else this.#post(output);
    }
    const deadlineMs = this.#detector.deadlineMs();
    if (this.#timer !== undefined && this.#timerMs <= deadlineMs) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    this.#timerMs = deadlineMs;
    this.#timer = setTimeout(() => this.#handleTimer(), Math.max(1, Math.ceil(deadlineMs - performance.now())));
  }

  /** Silence is judged after what the sockets hold has been read, which the system does between timers and immediates. */
  #handleTimer(): void {
    const lateMs = performance.now() - this.#timerMs;
    setImmediate(() => {
      this.#timer = undefined;
      const nowMs = performance.now();
      this.#judgeTick(nowMs, lateMs);
      for (const link of this.#detector.due(nowMs)) {
        const slot = this.#slots.get(link);
        if (slot !== undefined) this.#detector.handleLife(link, this.#life.lifeMs(slot, nowMs));
      }
      this.#detector.handleDeadline(nowMs, lateMs);
      this.#tellCounts(nowMs);
      this.#settle();
    });
  }

  #judgeTick(nowMs: number, lateMs: number): void {
    const { tick } = this.#life;
    // Where this thread was not let run, the other was not either.
    if (tick !== this.#tick || lateMs > this.#lateMs) this.#tickMs = nowMs;
    this.#tick = tick;
    this.#detector.handleVouching(nowMs - this.#tickMs < HUNG_MS, nowMs);
  }

  #tellCounts(nowMs: number): void {
    if (nowMs < this.#countsMs) return;
    this.#countsMs = nowMs + COUNTS_INTERVAL_MS;
    const counts = this.#detector.counters.toJSON();
    const text = JSON.stringify(counts);
    if (text !== this.#counts) this.#post({ kind: 'counts', counts });
    this.#counts = text;
  }
}

/**
 * Asks the system to let this thread run first: it needs little, and what it does late its neighbours take for a failure. Linux
 * alone gives a thread a priority of its own, and only who may (CAP_SYS_NICE); elsewhere it runs like the others.
 */
function raisePriority(): void {
  const { constants, setPriority } = process.getBuiltinModule('node:os');
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, constants.priority.PRIORITY_HIGHEST);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR')) throw error;
  }
}

// Loaded in the main thread too, to warm the compile cache.
if (parentPort !== null) {
  const port = parentPort;
  raisePriority();
  const thread = new DetectorThread(workerData as DetectorWorkerData, (message) => port.postMessage(message));
  port.on('message', (message: ToDetector) => thread.handle(message));
  setTimeout(() => {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, SETTLED_MS);
}
