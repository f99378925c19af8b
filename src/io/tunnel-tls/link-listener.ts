import { createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { TokenBucket } from '#kernel/bounded.ts';
import type { Counters } from '#kernel/counters.ts';
import { type HandshakeOptions, secureAsAcceptor, type SecuredTransport } from './handshake.ts';

export interface LinkListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly counters: Counters;
  /** Asked at every connection, so that renewed credentials serve the next one. */
  readonly handshake: () => HandshakeOptions;
  readonly accept: (secured: SecuredTransport, remoteAddress: string) => void;
}

/** Handshakes under way at once; each holds a socket and about 160 KiB. The oldest gives way to a new one. */
const MAX_HALF_OPEN = 256;
/** New connections of one address (IPv6: one /64): a burst for a restart of a site, then a rate that two cores can bear. */
const ADDRESS_BURST = 200;
const ADDRESS_PER_SECOND = 50;
/** Addresses remembered; the oldest are forgotten. */
const MAX_ADDRESSES = 4_096;

/** Accepts links: bounded before anything is known of the peer. */
export class LinkListener {
  readonly #options: LinkListenerOptions;
  readonly #server: Server;
  readonly #halfOpen = new Set<Socket>();
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: LinkListenerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => this.#handleConnection(socket));
  }

  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }

  /** Resolves to the address; rejects with the system's error. */
  async listen(): Promise<HostPort> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen({ host: this.#options.host, port: this.#options.port, backlog: 511 }, resolve);
    await promise;
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) return this.#options;
    return { host: address.address, port: address.port };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#halfOpen) socket.destroy();
  }

  #handleConnection(socket: Socket): void {
    const { counters } = this.#options;
    socket.on('error', () => socket.destroy());
    if (!this.#admits(socket.remoteAddress ?? '')) {
      counters.add('link-refused-ADDRESS_RATE');
      socket.resetAndDestroy();
      return;
    }
    this.#makeRoom();
    this.#halfOpen.add(socket);
    const remoteAddress = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    secureAsAcceptor(socket, this.#options.handshake()).then(
      (secured) => {
        this.#halfOpen.delete(socket);
        this.#options.accept(secured, remoteAddress);
      },
      (error: unknown) => {
        // One that gave way is counted already.
        if (!this.#halfOpen.delete(socket)) return;
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'HANDSHAKE_FAILED';
        counters.add(`link-refused-${code}`);
      },
    );
  }

  #makeRoom(): void {
    if (this.#halfOpen.size < MAX_HALF_OPEN) return;
    for (const oldest of this.#halfOpen) {
      this.#halfOpen.delete(oldest);
      oldest.resetAndDestroy();
      this.#options.counters.add('link-refused-HALF_OPEN_CAP');
      return;
    }
  }

  #admits(address: string): boolean {
    const prefix =
      address.includes(':') && !address.startsWith('::ffff:') ? address.split(':').slice(0, 4).join(':') : address;
    const nowMs = performance.now();
    let bucket = this.#buckets.get(prefix);
    if (bucket === undefined) {
      for (const oldest of this.#buckets.keys()) {
        if (this.#buckets.size < MAX_ADDRESSES) break;
        this.#buckets.delete(oldest);
      }
      bucket = new TokenBucket(ADDRESS_BURST, ADDRESS_PER_SECOND, nowMs);
      this.#buckets.set(prefix, bucket);
    }
    return bucket.take(nowMs);
  }
}
