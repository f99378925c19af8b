import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { parseHostPort } from '#io/edge-listener/host-port.ts';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A connection that says only what it is told to. */
export function rawConnection(address: string): Socket {
  const socket = connect({ ...parseHostPort(address), port: parseHostPort(address)?.port ?? 0 });
  socket.on('error', () => socket.destroy());
  return socket;
}

/** Sends `request` as it is and reads until the other side ends. */
export async function rawAnswer(address: string, request: string | Buffer): Promise<RawAnswer> {
  const socket = rawConnection(address);
  socket.write(request);
  return await readRaw(socket);
}

/** Reads until the other side ends. */
export async function readRaw(socket: Socket): Promise<RawAnswer> {
  const all = await text(socket);
  const end = all.indexOf('\r\n\r\n');
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(all)?.[1] ?? 0),
    head: all.slice(0, end),
    body: all.slice(end + 4),
  };
}
