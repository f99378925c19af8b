import { Counters } from '#kernel/counters.ts';
import { SeededRandom } from '#kernel/random.ts';
import { NO_TUNNEL_ID, type Hello } from '#mesh/mux/frame.ts';
import { Mux } from '#mesh/mux/mux.ts';
import type { MuxEvent, MuxOptions } from '#mesh/mux/mux-types.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import { WindowPool } from '#mesh/mux/window-pool.ts';

/** For tests and simulation: what an end of a pair saw. */
export type PairEvent = MuxEvent<string>;
export type PairStream = MuxStream<string>;

type EndOptions = Partial<MuxOptions> & { readonly pool?: WindowPool };

export interface PairOptions {
  readonly dialer?: EndOptions;
  readonly acceptor?: EndOptions;
  /** One way, in milliseconds. */
  readonly delayMs?: number;
  /** Each way; infinite when absent. */
  readonly bytesPerMs?: number;
  readonly seed?: number;
}

interface Packet {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** Steps of one run: ten times what the longest test takes, so that a livelock is a failure and not a hang. */
const MAX_ROUNDS = 1_000_000;

/** Bytes in one growing array. */
export class ByteLog {
  #bytes = new Uint8Array(64);
  length = 0;

  push(bytes: Uint8Array): void {
    const length = this.length + bytes.byteLength;
    if (length > this.#bytes.byteLength) {
      const grown = new Uint8Array(length * 2);
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.length);
    this.length = length;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

/** In order, without the cost of Array.shift on a long queue. */
class Wire {
  #packets: Packet[] = [];
  #head = 0;

  push(packet: Packet): void {
    this.#packets.push(packet);
  }

  get firstMs(): number | undefined {
    return this.#packets[this.#head]?.atMs;
  }

  shift(): Packet | undefined {
    const packet = this.#packets[this.#head++];
    if (this.#head < this.#packets.length) return packet;
    this.#packets = [];
    this.#head = 0;
    return packet;
  }
}

/** One end: a mux, what it has seen, and the wire towards the other. */
export class PairEnd {
  readonly mux: Mux<string>;
  readonly pool: WindowPool;
  readonly counters: Counters;
  readonly events: PairEvent[] = [];
  /** Consumes what arrives at once unless told otherwise. */
  isReading = true;
  readonly received = new Map<number, ByteLog>();
  readonly wire = new Wire();
  wireFreeMs = 0;
  /** The transport took nothing more until `wireFreeMs`. */
  isBlocked = false;

  constructor(role: 'dialer' | 'acceptor', options: EndOptions, nowMs: number) {
    this.pool = options.pool ?? new WindowPool();
    this.counters = new Counters();
    const hello: Hello = {
      version: 1,
      oldestVersion: 1,
      incarnation: 1,
      features: 0,
      tunnelId: new Uint8Array(16).fill(role === 'dialer' ? 1 : 2),
      replaces: NO_TUNNEL_ID,
    };
    this.mux = new Mux<string>(
      {
        role,
        hello,
        windows: this.pool.windowsOf(role === 'dialer' ? 'acceptor' : 'dialer'),
        maxPeerStreams: 1_000,
        opensPerSecond: 1_000,
        counters: this.counters,
        ...options,
      },
      nowMs,
    );
  }

  /** Bytes that a stream has delivered here. */
  got(stream: PairStream): number {
    return this.received.get(stream.id)?.length ?? 0;
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  last<K extends PairEvent['kind']>(kind: K): Extract<PairEvent, { kind: K }> | undefined {
    return this.events.findLast((event): event is Extract<PairEvent, { kind: K }> => event.kind === kind);
  }
}

/** Two muxes over a wire in virtual time: delay, bandwidth, and cuts at random places, all from one seed. */
export class MuxPair {
  readonly dialer: PairEnd;
  readonly acceptor: PairEnd;
  readonly #options: PairOptions;
  readonly #random: SeededRandom;
  nowMs = 0;

  constructor(options: PairOptions = {}) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.dialer = new PairEnd('dialer', options.dialer ?? {}, 0);
    this.acceptor = new PairEnd('acceptor', options.acceptor ?? {}, 0);
  }

  /** Runs until `untilMs`. Throws when that takes more than a bounded number of steps. */
  run(untilMs: number = this.nowMs): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.#pump(this.dialer, this.acceptor);
      this.#pump(this.acceptor, this.dialer);
      const nextMs = this.#nextMs();
      if (nextMs === undefined || nextMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
    }
    throw new Error(`no rest at ${this.nowMs} ms`);
  }

  /** Lets time pass until `isDone`; throws when it is not within `limitMs`. */
  runUntil(isDone: () => boolean, limitMs = 10_000): void {
    const lastMs = this.nowMs + limitMs;
    while (!isDone()) {
      if (this.nowMs >= lastMs) throw new Error(`not done at ${this.nowMs} ms`);
      this.run(this.nowMs + 1);
    }
  }

  #nextMs(): number | undefined {
    const times = [this.dialer, this.acceptor].flatMap((end) => [
      end.wire.firstMs,
      end.mux.deadlineMs(),
      end.isBlocked ? end.wireFreeMs : undefined,
    ]);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  #pump(from: PairEnd, to: PairEnd): void {
    if ((from.mux.deadlineMs() ?? Number.POSITIVE_INFINITY) <= this.nowMs) from.mux.handleDeadline(this.nowMs);
    this.#drain(from);
    this.#transmit(from);
    while ((from.wire.firstMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) {
      const packet = from.wire.shift();
      if (packet !== undefined) to.mux.handleBytes(packet.bytes, this.nowMs);
      this.#drain(to);
      this.#transmit(to);
    }
    this.#drain(from);
    this.#transmit(from);
  }

  #transmit(end: PairEnd): void {
    const rate = this.#options.bytesPerMs;
    for (;;) {
      // A transport that is a millisecond behind takes nothing more, as a full socket would.
      end.isBlocked = rate !== undefined && end.wireFreeMs > this.nowMs + 1;
      if (end.isBlocked) return;
      const piece = end.mux.pollTransmit(this.nowMs);
      if (piece === undefined) return;
      this.#drain(end);
      const startMs = Math.max(this.nowMs, end.wireFreeMs);
      end.wireFreeMs = rate === undefined ? startMs : startMs + piece.byteLength / rate;
      for (const bytes of this.#cut(piece)) {
        end.wire.push({ atMs: end.wireFreeMs + (this.#options.delayMs ?? 0), bytes });
      }
    }
  }

  #cut(piece: Uint8Array): Uint8Array[] {
    if (this.#random.fraction() < 0.7 || piece.byteLength < 2) return [piece];
    const at = 1 + Math.floor(this.#random.fraction() * (piece.byteLength - 1));
    return [piece.subarray(0, at), piece.subarray(at)];
  }

  #drain(end: PairEnd): void {
    for (let event = end.mux.poll(); event !== undefined; event = end.mux.poll()) {
      end.events.push(event);
      if (event.kind === 'opened') event.stream.owner = 'accepted';
      if (event.kind !== 'data') continue;
      const log = end.received.get(event.stream.id) ?? new ByteLog();
      log.push(event.bytes);
      end.received.set(event.stream.id, log);
      if (end.isReading) end.mux.consume(event.stream, event.bytes.byteLength, this.nowMs);
    }
  }
}
