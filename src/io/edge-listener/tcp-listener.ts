import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { formatHostPort, type HostPort } from './host-port.ts';

/** A listener that is open. `address` has the real port. */
export interface Listener {
  readonly address: HostPort;
  /** Stops listening and resets what is still connected. */
  close(): Promise<void>;
}

/** A proxy's clients are local processes: more than this at once is a fault of one of them. */
const MOST_CLIENTS = 4096;
/** One read of a fast local sender; larger ones only cost memory. */
export const SOCKET_BUFFER_BYTES = 256 * 1024;

const FAREWELL_MS = 1000;

/** Hands every accepted socket (half-open capable, no delay, an `error` listener in place) to `accept`. */
export async function listenTcp(at: HostPort, accept: (socket: Socket) => void): Promise<Listener> {
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, highWaterMark: SOCKET_BUFFER_BYTES };
  const server = createServer(options, (socket) => {
    socket.on('error', () => socket.destroy());
    accept(socket);
  });
  return await openListener(server, at);
}

/** Opens `server` at `at`, caps its clients and keeps their sockets for {@link Listener.close}. */
export async function openListener(server: Server, at: HostPort): Promise<Listener> {
  const sockets = new Set<Socket>();
  server.maxConnections = MOST_CLIENTS;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    },
  };
}

/** Says a last word and closes. What still arrives is read for a while, else the system would send RST and the word be lost. */
export function endWith(socket: Socket, lastWord: Uint8Array | string): void {
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroySoon());
  socket.end(lastWord);
  if (socket.readableEnded) socket.destroySoon();
  else socket.resume();
}

/** `ip:port` of the other end, with brackets around IPv6. */
export function remoteAddress(socket: Socket): string {
  return formatHostPort({ host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 });
}
