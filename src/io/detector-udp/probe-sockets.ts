import type { Socket, SocketOptions } from 'node:dgram';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import type { ProbeAddress } from './messages.ts';

// Not imported: the module objects made for import read every export, and so load what is never used here.
const { createSocket } = process.getBuiltinModule('node:dgram');
const { isIPv6 } = process.getBuiltinModule('node:net');

interface ProbeSocketsPorts {
  readonly listen: HostPort | undefined;
  handleProbe(bytes: Uint8Array, from: ProbeAddress): void;
  /** The socket at the link port failed: accepted links cannot be watched. */
  handleUnbound(code: string): void;
  handleUnsent(): void;
}

/** Every address here is one already. */
const lookup: NonNullable<SocketOptions['lookup']> = (address, _options, callback) =>
  callback(null, address, isIPv6(address) ? 6 : 4);

/** The UDP sockets of a node: one at its link port, for links that it accepts, and one a family for those that it dials. */
export class ProbeSockets {
  readonly #ports: ProbeSocketsPorts;
  readonly #sockets = new Map<ProbeAddress['via'], Socket>();

  constructor(ports: ProbeSocketsPorts) {
    this.#ports = ports;
    const { listen } = ports;
    if (listen !== undefined) this.#open('listen', isIPv6(listen.host) ? 'udp6' : 'udp4', listen);
  }

  send(bytes: Uint8Array, to: ProbeAddress): void {
    let socket = this.#sockets.get(to.via);
    if (socket === undefined && to.via !== 'listen') socket = this.#open(to.via, to.via, undefined);
    if (socket === undefined) return this.#ports.handleUnsent();
    socket.send(bytes, to.port, to.host, (error) => {
      if (error !== null) this.#ports.handleUnsent();
    });
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #open(via: ProbeAddress['via'], type: 'udp4' | 'udp6', at: HostPort | undefined): Socket {
    const socket = createSocket({ type, lookup });
    this.#sockets.set(via, socket);
    socket.on('message', (bytes, { address, port }) => this.#ports.handleProbe(bytes, { via, host: address, port }));
    socket.on('error', (error) => {
      this.#sockets.delete(via);
      socket.close();
      if (via === 'listen') this.#ports.handleUnbound('code' in error ? String(error.code) : 'EUNKNOWN');
      else this.#ports.handleUnsent();
    });
    if (at !== undefined) socket.bind({ port: at.port, address: at.host, exclusive: true });
    return socket;
  }
}
