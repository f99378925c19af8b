import type { IncomingHttpHeaders } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Authenticated } from '#control/accounts/sessions.ts';
import type { SharedState } from '#control/shared.ts';
import { addressBlock } from '#io/control-https/address-block.ts';
import { DetailedError } from '#io/http-fastify/api-error.ts';
import { AddressLimits, type AddressRates } from './address-limits.ts';
import { Authenticator, type CredentialReader } from './authenticator.ts';
import { ConnectionShares } from './connection-shares.ts';
import { guardOrigin, readBearer } from './guard.ts';

export interface GateOptions {
  /** The content of admin.token. */
  readonly token: string;
  /** The name, if any, that this listener may be asked by. */
  readonly host: string;
  readonly strangers: AddressRates;
  readonly readCredential: CredentialReader;
  /** Counts with the other replicas. */
  readonly shared: Pick<SharedState, 'increment'>;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** A request before anything of its body is read. */
export interface Arrival {
  readonly headers: IncomingHttpHeaders;
  readonly address: string;
  readonly socket: Socket;
  /** Whoever can reach the port may do this. */
  readonly isOpen: boolean;
}

/** What the replicas together let one address do, is counted in windows of this length. */
const WINDOW_MS = 10_000;
/** Addresses that another replica's count keeps waiting; the oldest is forgotten first. */
const WAITING_LIMIT = 4_096;

/** Says who may come in: from where people are, not too often, and by a credential that counts. */
export class Gate {
  readonly #options: GateOptions;
  readonly #authenticator: Authenticator;
  readonly #strangers: AddressLimits;
  readonly #shares = new ConnectionShares();
  readonly #waiting = new Map<string, number>();

  constructor(options: GateOptions) {
    this.#options = options;
    this.#authenticator = new Authenticator(options.token, options.readCredential);
    this.#strangers = new AddressLimits(options.strangers);
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) =>
      this.#shares.handleConnection(socket, addressBlock(socket.remoteAddress ?? '')),
    );
  }

  /** Who asks; undefined on open routes. Throws HOST_FOREIGN, ORIGIN_FOREIGN, RATE_LIMITED and CREDENTIAL_WRONG. */
  async admit({ headers, address, socket, isOpen }: Arrival): Promise<Authenticated | undefined> {
    guardOrigin(headers, this.#options.host);
    const block = addressBlock(address);
    const bearer = isOpen ? '' : readBearer(headers);
    // A stranger keeps nobody out who is known and shares its address.
    if (this.#isExhausted(block) && (isOpen || !this.#authenticator.hasCounted(bearer)))
      throw new DetailedError('RATE_LIMITED', 'too many requests of this address', { retryAfterMs: 1_000 });
    if (isOpen) {
      this.#count(block);
      return undefined;
    }
    try {
      const caller = await this.#authenticator.authenticate(bearer);
      this.#shares.handleProven(socket);
      return caller;
    } catch (error) {
      this.#count(block);
      throw error;
    }
  }

  /** Whose the credential is now, after time has passed. Throws CREDENTIAL_WRONG. */
  async admitAgain(headers: IncomingHttpHeaders): Promise<Authenticated> {
    return await this.#authenticator.authenticate(readBearer(headers));
  }

  #isExhausted(block: string): boolean {
    const nowMs = this.#options.nowMs();
    return this.#strangers.isExhausted(block, nowMs) || (this.#waiting.get(block) ?? 0) > nowMs;
  }

  /** Here at once; what the others counted too makes the next one wait. */
  #count(block: string): void {
    const { shared, nowMs, strangers } = this.#options;
    this.#strangers.take(block, nowMs());
    const most = strangers.burst + (strangers.perSecond * WINDOW_MS) / 1_000;
    void shared.increment(`strangers:${block}`, WINDOW_MS).then(({ count, resetsInMs }) => {
      if (count <= most) return;
      this.#waiting.delete(block);
      for (const oldest of this.#waiting.keys()) {
        if (this.#waiting.size < WAITING_LIMIT) break;
        this.#waiting.delete(oldest);
      }
      this.#waiting.set(block, nowMs() + resetsInMs);
    });
  }
}
