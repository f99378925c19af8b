import type { Socket } from 'node:net';

/** Connections that have not proved a credential, of one address: a browser opens six, a page of documents no more. */
const ADDRESS_SHARE = 128;
/** Of all of them together: what is left is for whoever has one. */
const STRANGER_SHARE = 512;

/** Bounds what connections without a credential can hold: where there is no room, the oldest of them gives way. */
export class ConnectionShares {
  /** With their addresses, the oldest first. */
  readonly #strangers = new Map<Socket, string>();

  handleConnection(socket: Socket, address: string): void {
    if (this.#strangers.size >= STRANGER_SHARE) this.#evict(() => true);
    else if (this.#countOf(address) >= ADDRESS_SHARE) this.#evict((each) => each === address);
    this.#strangers.set(socket, address);
    socket.once('close', () => this.#strangers.delete(socket));
  }

  /** It carried a good credential. */
  handleProven(socket: Socket): void {
    this.#strangers.delete(socket);
  }

  #countOf(address: string): number {
    let count = 0;
    for (const each of this.#strangers.values()) if (each === address) count++;
    return count;
  }

  #evict(isIt: (address: string) => boolean): void {
    for (const [socket, address] of this.#strangers) {
      if (!isIt(address)) continue;
      this.#strangers.delete(socket);
      socket.destroy();
      return;
    }
  }
}
