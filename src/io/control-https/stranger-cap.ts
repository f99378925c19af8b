import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Connections that have not proved a member's key, handshakes included; each costs up to 60 kB. */
const STRANGER_LIMIT = 256;
/** An enrolment takes milliseconds; who is still a stranger after this is not enrolling. */
const STRANGER_LIFE_MS = 15_000;

/** Bounds what unauthenticated connections can hold, so that a flood of them costs members nothing. */
export class StrangerCap {
  readonly #strangers = new Map<string, NodeJS.Timeout>();
  #refusedCount = 0;

  /** `isMember` says after the handshake whether the connection proved a member's key. */
  constructor(server: Server, isMember: (socket: TLSSocket) => boolean) {
    server.on('connection', (socket: Socket) => this.#handleConnection(socket));
    server.on('secureConnection', (socket: TLSSocket) => {
      if (isMember(socket)) this.#forget(keyOf(socket));
    });
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
  }

  get strangerCount(): number {
    return this.#strangers.size;
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  #handleConnection(socket: Socket): void {
    if (this.#strangers.size >= STRANGER_LIMIT) {
      this.#refusedCount++;
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    const timer = setTimeout(() => socket.destroy(), STRANGER_LIFE_MS);
    timer.unref();
    this.#strangers.set(key, timer);
    socket.once('close', () => this.#forget(key));
  }

  #forget(key: string): void {
    clearTimeout(this.#strangers.get(key));
    this.#strangers.delete(key);
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}
