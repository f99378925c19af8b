import type { Socket } from 'node:net';

/** Connections of one identity at once: a node makes three, and those that died unnoticed linger. */
const MEMBER_CONNECTION_LIMIT = 16;

/** Bounds the connections of each member; the oldest gives way, since a node that comes back needs the newest. */
export class MemberCap {
  readonly #connections = new Map<string, Set<Socket>>();

  /** Counts a connection whose handshake proved `spiffeId`, until it closes. */
  handleConnection(spiffeId: string, socket: Socket): void {
    const connections = this.#connections.get(spiffeId) ?? new Set();
    this.#connections.set(spiffeId, connections);
    connections.add(socket);
    socket.once('close', () => this.#handleClose(spiffeId, connections, socket));
    if (connections.size <= MEMBER_CONNECTION_LIMIT) return;
    for (const oldest of connections) {
      connections.delete(oldest);
      oldest.destroy();
      return;
    }
  }

  #handleClose(spiffeId: string, connections: Set<Socket>, socket: Socket): void {
    connections.delete(socket);
    if (connections.size === 0) this.#connections.delete(spiffeId);
  }
}
