import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressBlock } from '#io/control-https/address-block.ts';

/** Connections that have not proved a member's key, handshakes included; each costs up to 60 kB. */
const STRANGER_LIMIT = 256;
/** Of one address, which may be a host with many nodes that all connect at once. */
const ADDRESS_STRANGER_LIMIT = 128;
/** New connections of one address: so many at once, and then each second. A handshake costs about a millisecond. */
const BURST_LIMIT = 512;
const CONNECTIONS_PER_S = 64;
/** Addresses whose rate is remembered; the one that came first is forgotten first. */
const ADDRESS_LIMIT = 4_096;
/** A handshake that has not ended after this will not. */
const HANDSHAKE_LIFE_MS = 5_000;
/** An enrolment takes milliseconds; who is still a stranger this long after the handshake is not enrolling. */
const STRANGER_LIFE_MS = 10_000;

interface Stranger {
  readonly socket: Socket;
  readonly block: string;
  readonly handshakeTimer: NodeJS.Timeout;
  lifeTimer: NodeJS.Timeout | undefined;
}

interface Rate {
  readonly tokens: number;
  readonly sinceMs: number;
}

/**
 * Bounds what unauthenticated connections can hold, over all and by address, so that a flood of them costs members nothing.
 * Where there is no room the oldest gives way: a member needs its place for milliseconds only.
 */
export class StrangerCap {
  /** By address and port, the oldest first. */
  readonly #strangers = new Map<string, Stranger>();
  readonly #rates = new Map<string, Rate>();
  readonly #nowMs: () => number;
  #refusedCount = 0;

  /** `isMember` says after the handshake whether the connection proved a member's key. `nowMs` is monotonic. */
  constructor(server: Server, isMember: (socket: TLSSocket) => boolean, nowMs: () => number) {
    this.#nowMs = nowMs;
    server.on('connection', (socket: Socket) => this.#handleConnection(socket));
    server.on('secureConnection', (socket: TLSSocket) => this.#handleHandshake(socket, isMember(socket)));
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
  }

  get strangerCount(): number {
    return this.#strangers.size;
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  #handleConnection(socket: Socket): void {
    const key = keyOf(socket);
    const block = addressBlock(socket.remoteAddress ?? '');
    if (!this.#takeToken(block)) {
      this.#refuse(socket);
      return;
    }
    this.#makeRoom(block);
    const handshakeTimer = setTimeout(() => socket.destroy(), HANDSHAKE_LIFE_MS);
    handshakeTimer.unref();
    this.#strangers.set(key, { socket, block, handshakeTimer, lifeTimer: undefined });
    socket.once('close', () => this.#forget(key, socket));
  }

  #handleHandshake(socket: TLSSocket, isMember: boolean): void {
    const key = keyOf(socket);
    const stranger = this.#strangers.get(key);
    if (stranger === undefined) return;
    if (isMember) {
      this.#forget(key, stranger.socket);
      return;
    }
    clearTimeout(stranger.handshakeTimer);
    stranger.lifeTimer = setTimeout(() => stranger.socket.destroy(), STRANGER_LIFE_MS);
    stranger.lifeTimer.unref();
  }

  /** The oldest of an address that has its share gives way, else the oldest of the address that holds the most. */
  #makeRoom(block: string): void {
    const counts = new Map<string, number>();
    for (const { block: each } of this.#strangers.values()) counts.set(each, (counts.get(each) ?? 0) + 1);
    if ((counts.get(block) ?? 0) >= ADDRESS_STRANGER_LIMIT) this.#evictOldestOf(block);
    else if (this.#strangers.size >= STRANGER_LIMIT) this.#evictOldestOf(largestOf(counts));
  }

  #evictOldestOf(block: string): void {
    for (const [key, stranger] of this.#strangers) {
      if (stranger.block !== block) continue;
      this.#forget(key, stranger.socket);
      this.#refuse(stranger.socket);
      return;
    }
  }

  #takeToken(block: string): boolean {
    const nowMs = this.#nowMs();
    const known = this.#rates.get(block) ?? { tokens: BURST_LIMIT, sinceMs: nowMs };
    const tokens = Math.min(BURST_LIMIT, known.tokens + ((nowMs - known.sinceMs) * CONNECTIONS_PER_S) / 1_000);
    const isFree = tokens >= 1;
    this.#rates.delete(block);
    this.#rates.set(block, { tokens: isFree ? tokens - 1 : tokens, sinceMs: nowMs });
    if (this.#rates.size > ADDRESS_LIMIT) this.#forgetOldestRate();
    return isFree;
  }

  #forgetOldestRate(): void {
    for (const oldest of this.#rates.keys()) {
      this.#rates.delete(oldest);
      return;
    }
  }

  #refuse(socket: Socket): void {
    this.#refusedCount++;
    socket.destroy();
  }

  #forget(key: string, socket: Socket): void {
    const stranger = this.#strangers.get(key);
    if (stranger?.socket !== socket) return;
    clearTimeout(stranger.handshakeTimer);
    clearTimeout(stranger.lifeTimer);
    this.#strangers.delete(key);
  }
}

function largestOf(counts: ReadonlyMap<string, number>): string {
  let [largest, most] = ['', 0];
  for (const [block, count] of counts) if (count > most) [largest, most] = [block, count];
  return largest;
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}
