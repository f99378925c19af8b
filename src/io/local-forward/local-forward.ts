import type { Socket } from 'node:net';
import type { Counters } from '#kernel/counters.ts';
import type { HostPort } from '../edge-listener/host-port.ts';
import { type Listener, listenTcp, remoteAddress } from '../edge-listener/tcp-listener.ts';
import { reset, splice } from '../stream-splice/splice.ts';
import { errorCode, StreamError, type StreamOpener } from '../stream-splice/stream-opener.ts';

/** What a forward needs. Failed opens are counted as `forward.<code>`. */
export interface LocalForwardOptions {
  readonly service: string;
  readonly opener: StreamOpener;
  readonly counters: Counters;
}

/** A TCP port of this host that leads to one service. A client whose stream cannot be opened sees a reset. */
export async function openLocalForward(at: HostPort, options: LocalForwardOptions): Promise<Listener> {
  return await listenTcp(at, (socket) => {
    socket.pause();
    void forward(socket, options);
  });
}

async function forward(socket: Socket, { service, opener, counters }: LocalForwardOptions): Promise<void> {
  try {
    const stream = await opener.open(service, { address: remoteAddress(socket) });
    if (socket.destroyed) reset(stream, new StreamError('STREAM_RESET', 'the client left'));
    else await splice(socket, stream);
  } catch (error) {
    counters.add(`forward.${errorCode(error)}`);
    socket.resetAndDestroy();
  }
}
