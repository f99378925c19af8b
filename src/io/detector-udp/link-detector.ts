import type { TLSSocket } from 'node:tls';
import { isIPv6 } from 'node:net';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import type { Counters } from '#kernel/counters.ts';
import { MAX_WATCHED } from '#mesh/detector/detector.ts';
import type { LinkMeasurement } from '#mesh/detector/link-quality.ts';
import type { DetectorProfile, SessionEnd, SessionResume } from '#mesh/detector/session.ts';
import type { DetectorWorkerData, FromDetector, ProbeAddress, ToDetector } from './messages.ts';
import { exportSessionKeys } from './session-keys.ts';
import { SharedLife } from './shared-life.ts';

export interface LinkDetectorOptions {
  readonly profile: DetectorProfile;
  /** Where links are accepted, an IP address; UDP takes the same port. Undefined: this node only dials out. */
  readonly listen: HostPort | undefined;
  readonly counters: Counters;
  readonly warn: (code: string, detail: string) => void;
  readonly newWorker?: (script: URL, options: WorkerOptions) => Worker;
}

export interface LinkHandlers {
  /** The peer is gone or hung: the link's connection is to be destroyed at once. */
  handleSilent(reason: SessionEnd): void;
  handleMeasured(measurement: LinkMeasurement): void;
}

/** One watched link. */
export interface LinkWatch {
  /** What watches the link now: probes by UDP, or only the PING on the link itself. */
  readonly detector: 'udp' | 'in-band';
  readonly measurement: LinkMeasurement | undefined;
  /** The link delivered something. */
  handleLife(nowMs: number): void;
  /** The link has ended. */
  close(): void;
}

interface Watched {
  readonly id: number;
  readonly slot: number;
  readonly handlers: LinkHandlers;
  readonly message: Extract<ToDetector, { readonly kind: 'watch' }>;
  isUp: boolean;
  measurement: LinkMeasurement | undefined;
  highest: bigint;
  /** Whether an earlier thread watched it. */
  isOld: boolean;
}

/** The main thread says this often that it is not hung. */
const BEAT_MS = 200;
const FIRST_RESTART_MS = 50;
const MOST_RESTART_MS = 30_000;
/** A thread that ran for this long has not failed at starting. */
const STABLE_MS = 60_000;
/** Sequences below these belong to the threads before: more than any sends in its life. */
const SEQUENCES_PER_THREAD = 40n;
/** The thread holds sessions and 64-byte probes. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32, stackSizeMb: 1 };

/** Watches links by UDP probes, in a thread of its own, which a busy main thread does not hold up. */
export class LinkDetector {
  readonly #options: LinkDetectorOptions;
  readonly #life = new SharedLife();
  readonly #watched = new Map<number, Watched>();
  readonly #freeSlots: number[] = [];
  #nextId = 1;
  #worker: Worker | undefined;
  #workers = 0;
  #failures = 0;
  #startedMs = 0;
  #counts: Readonly<Record<string, number>> = {};
  #beat: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LinkDetectorOptions) {
    this.#options = options;
  }

  /** Watches a link whose handshake is done. Undefined when there are too many, or where it cannot be. */
  watch(socket: TLSSocket, role: 'dialer' | 'acceptor', handlers: LinkHandlers): LinkWatch | undefined {
    const { remoteAddress, remotePort } = socket;
    const canReply = role === 'dialer' || this.#options.listen !== undefined;
    if (this.#isClosed || remoteAddress === undefined || remotePort === undefined || !canReply) return undefined;
    if (this.#watched.size >= MAX_WATCHED) {
      this.#options.counters.add('detector-unwatched');
      return undefined;
    }
    const keys = exportSessionKeys(socket, role);
    const id = this.#nextId++;
    const slot = this.#freeSlots.pop() ?? this.#watched.size;
    const to = role === 'dialer' ? probeAddress(remoteAddress, remotePort) : undefined;
    const watched = newWatched({ kind: 'watch', slot, link: { id, keys, to } }, handlers);
    this.#watched.set(id, watched);
    this.#life.handleLife(slot, performance.now());
    if (this.#worker === undefined) this.#start();
    else this.#post(this.#watchMessage(watched));
    return this.#watchOf(watched);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beat);
    clearTimeout(this.#restart);
    void this.#worker?.terminate();
  }

  #watchOf(watched: Watched): LinkWatch {
    const { id, slot } = watched;
    const life = this.#life;
    const close = (): void => {
      if (!this.#watched.delete(id)) return;
      this.#freeSlots.push(slot);
      this.#post({ kind: 'unwatch', link: id });
    };
    return {
      get detector() {
        return watched.isUp ? 'udp' : 'in-band';
      },
      get measurement() {
        return watched.measurement;
      },
      handleLife: (nowMs) => life.handleLife(slot, nowMs),
      close,
    };
  }

  #post(message: ToDetector): void {
    this.#worker?.postMessage(message);
  }

  #start(): void {
    if (this.#isClosed || this.#restart !== undefined) return;
    const { profile, listen } = this.#options;
    const workerData: DetectorWorkerData = { shared: this.#life.buffer, profile, listen };
    const { newWorker = (script, settings) => new Worker(script, settings) } = this.#options;
    const settings: WorkerOptions = { workerData, execArgv: [], resourceLimits: RESOURCE_LIMITS };
    const worker = newWorker(new URL('./worker.ts', import.meta.url), settings);
    worker.unref();
    worker.on('message', (message: FromDetector) => this.#handle(message));
    worker.on('error', (error) => this.#options.warn('DETECTOR_FAILED', String(error)));
    worker.once('exit', () => this.#handleExit());
    this.#worker = worker;
    this.#workers++;
    this.#startedMs = performance.now();
    this.#counts = {};
    this.#life.beat();
    this.#beat ??= setInterval(() => this.#life.beat(), BEAT_MS).unref();
    for (const watched of this.#watched.values()) this.#post(this.#watchMessage(watched));
  }

  #watchMessage(watched: Watched): ToDetector {
    const { message, isOld, highest } = watched;
    watched.isOld = true;
    if (!isOld) return message;
    const resume: SessionResume = { firstSequence: (BigInt(this.#workers) << SEQUENCES_PER_THREAD) + 1n, highest };
    return { ...message, link: { ...message.link, resume } };
  }

  /** Until the next thread has taken over, links are watched in band only. */
  #handleExit(): void {
    this.#worker = undefined;
    if (this.#isClosed) return;
    this.#options.counters.add('detector-restart');
    for (const watched of this.#watched.values()) watched.isUp = false;
    this.#failures = performance.now() - this.#startedMs >= STABLE_MS ? 1 : this.#failures + 1;
    const delayMs = Math.min(MOST_RESTART_MS, FIRST_RESTART_MS * 2 ** (this.#failures - 1));
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.#start();
    }, delayMs).unref();
  }

  #handle(message: FromDetector): void {
    if (message.kind === 'counts') return this.#handleCounts(message.counts);
    if (message.kind === 'unbound') return this.#handleUnbound(message.code);
    const watched = this.#watched.get(message.link);
    if (watched === undefined) return;
    switch (message.kind) {
      case 'up':
        watched.isUp = true;
        return;
      case 'measure':
        watched.measurement = message.measurement;
        watched.highest = message.highest;
        return watched.handlers.handleMeasured(message.measurement);
      case 'down':
        watched.isUp = false;
        return watched.handlers.handleSilent(message.reason);
    }
  }

  #handleCounts(counts: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(counts)) {
      const added = count - (this.#counts[name] ?? 0);
      if (added > 0) this.#options.counters.add(name, added);
    }
    this.#counts = counts;
  }

  #handleUnbound(code: string): void {
    const { listen, warn } = this.#options;
    warn('DETECTOR_UNBOUND', `UDP port ${listen?.port ?? 0}: ${code}; links from others are watched in band only`);
  }
}

function probeAddress(host: string, port: number): ProbeAddress {
  return { via: isIPv6(host) ? 'udp6' : 'udp4', host, port };
}

function newWatched(message: Watched['message'], handlers: LinkHandlers): Watched {
  const state = { isUp: false, measurement: undefined, highest: 0n, isOld: false };
  return { id: message.link.id, slot: message.slot, handlers, message, ...state };
}
