import type { Socket } from 'node:net';
import { concatBytes } from '#kernel/bytes.ts';
import type { Counters } from '#kernel/counters.ts';
import type { HostPort } from '../edge-listener/host-port.ts';
import { endWith, type Listener, listenTcp, remoteAddress } from '../edge-listener/tcp-listener.ts';
import { parseMeshHost } from '../stream-splice/mesh-address.ts';
import { openFailure } from '../stream-splice/open-failure.ts';
import { reset, splice } from '../stream-splice/splice.ts';
import { errorCode, StreamError, type StreamOpener } from '../stream-splice/stream-opener.ts';
import {
  encodeReply,
  METHOD_ACCEPTED,
  METHOD_REFUSED,
  MOST_HANDSHAKE_BYTES,
  parseGreeting,
  parseRequest,
  SUCCEEDED,
} from './socks5-codec.ts';

/** A local client needs microseconds; this is for one that is stopped in a debugger, not for one that drips. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What a SOCKS5 proxy needs. Refusals are counted as `socks.<code>`. */
export interface Socks5Options {
  readonly opener: StreamOpener;
  readonly counters: Counters;
  readonly handshakeTimeoutMs?: number;
}

/** RFC 1928 without authentication: CONNECT to `SERVICE.mesh` on any port, everything else refused by its own reply. */
export async function openSocks5Proxy(at: HostPort, options: Socks5Options): Promise<Listener> {
  return await listenTcp(at, (socket) => new Session(socket, options).start());
}

class Session {
  readonly #socket: Socket;
  readonly #options: Socks5Options;
  readonly #timer: NodeJS.Timeout;
  #received = new Uint8Array(0);
  #greeted = false;

  constructor(socket: Socket, options: Socks5Options) {
    this.#socket = socket;
    this.#options = options;
    this.#timer = setTimeout(() => this.#drop('SOCKS_TIMEOUT'), options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
  }

  start(): void {
    this.#socket.on('data', this.#onData);
    this.#socket.once('end', this.#onEnd);
    this.#socket.once('close', () => clearTimeout(this.#timer));
  }

  readonly #onEnd = (): void => this.#drop('SOCKS_TRUNCATED');

  readonly #onData = (chunk: Uint8Array): void => {
    this.#received = concatBytes([this.#received, chunk]) as Uint8Array<ArrayBuffer>;
    if (!this.#greeted && !this.#readGreeting()) return;
    this.#readRequest();
  };

  #readGreeting(): boolean {
    const greeting = parseGreeting(this.#received);
    if (greeting.kind === 'not-socks5') this.#drop('SOCKS_MALFORMED');
    if (greeting.kind !== 'greeting') return false;
    if (!greeting.offersNoAuthentication) {
      this.#refuse('SOCKS_METHOD', METHOD_REFUSED);
      return false;
    }
    this.#received = this.#received.subarray(greeting.length);
    this.#greeted = true;
    this.#socket.write(METHOD_ACCEPTED);
    return true;
  }

  #readRequest(): void {
    const request = parseRequest(this.#received);
    switch (request.kind) {
      case 'incomplete':
        if (this.#received.byteLength > MOST_HANDSHAKE_BYTES) this.#drop('SOCKS_MALFORMED');
        return;
      case 'not-socks5':
        this.#drop('SOCKS_MALFORMED');
        return;
      case 'refused':
        this.#refuse(request.code, encodeReply(request.reply));
        return;
      case 'connect': {
        const rest = this.#received.subarray(request.length);
        this.#leaveHandshake();
        if (rest.byteLength > 0) this.#socket.unshift(rest);
        void this.#connect(request.host);
      }
    }
  }

  async #connect(host: string): Promise<void> {
    try {
      const service = parseMeshHost(host);
      if (!service.ok) throw new StreamError(service.error, `${host} is no service of this mesh`);
      const stream = await this.#options.opener.open(service.value, { address: remoteAddress(this.#socket) });
      if (this.#socket.destroyed) {
        reset(stream, new StreamError('STREAM_RESET', 'the client left'));
        return;
      }
      this.#socket.write(encodeReply(SUCCEEDED));
      await splice(this.#socket, stream);
    } catch (error) {
      const code = errorCode(error);
      this.#refuse(code, encodeReply(openFailure(code).socksReply));
    }
  }

  #leaveHandshake(): void {
    clearTimeout(this.#timer);
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.pause();
  }

  #refuse(code: string, reply: Uint8Array): void {
    this.#leaveHandshake();
    this.#options.counters.add(`socks.${code}`);
    endWith(this.#socket, reply);
  }

  #drop(code: string): void {
    this.#leaveHandshake();
    this.#options.counters.add(`socks.${code}`);
    this.#socket.destroy();
  }
}
