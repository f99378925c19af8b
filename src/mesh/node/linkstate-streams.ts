import { MAX_MESSAGE_BYTES } from '#mesh/linkstate/limits.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import { delimitMessage, MessageReader } from '#mesh/node/message-reader.ts';
import type { LinkStateOwner, Stream, Tunnel } from '#mesh/node/tunnel.ts';

/** A neighbour that is this far behind in reading gets only the newest of what changed. */
const HIGH_WATER_BYTES = 262_144;
const LOW_WATER_BYTES = 65_536;

/** The link-state stream of each link: opened by the side that dialled, one on each link, delimited messages both ways. */
export class LinkStateStreams {
  readonly #touch: (tunnel: Tunnel) => void;

  constructor(touch: (tunnel: Tunnel) => void) {
    this.#touch = touch;
  }

  open(tunnel: Tunnel): void {
    const opened = tunnel.mux.open(StreamKind.linkstate, new Uint8Array(), newOwner(), 'local');
    if (opened.ok) tunnel.linkstate = opened.value;
    this.#touch(tunnel);
  }

  accept(tunnel: Tunnel, stream: Stream): void {
    stream.owner = newOwner();
    tunnel.linkstate = stream;
    tunnel.mux.accept(stream);
    this.#touch(tunnel);
  }

  close(tunnel: Tunnel): void {
    if (tunnel.linkstate !== undefined) tunnel.mux.reset(tunnel.linkstate, { code: 'TUNNEL_DRAINING' });
    tunnel.linkstate = undefined;
    this.#touch(tunnel);
  }

  /** Queues a message, also before the stream is accepted. False when the neighbour is to be spared until `writable`. */
  send(tunnel: Tunnel, message: Uint8Array, nowMs: number): boolean {
    const stream = tunnel.linkstate;
    if (stream === undefined) return false;
    tunnel.mux.send(stream, delimitMessage(message), nowMs);
    this.#touch(tunnel);
    if (stream.queue.bytes < HIGH_WATER_BYTES) return true;
    stream.wakeBelowBytes = LOW_WATER_BYTES;
    return false;
  }
}

function newOwner(): LinkStateOwner {
  return { kind: 'linkstate', reader: new MessageReader(MAX_MESSAGE_BYTES) };
}
