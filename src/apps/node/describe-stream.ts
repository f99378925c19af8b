import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';

/** Of each stream, so that the largest answer stays below its limit. */
const SHOWN_MOVES = 4;

/** What the node `self` says of a stream; `isProtected`: whether two ways without a common relay lead to a node. */
export function describeStream(
  stream: ConduitHandle,
  self: string,
  isProtected: (peer: string) => boolean,
): Record<string, unknown> {
  const isClient = stream.direction === 'out';
  return {
    id: stream.id,
    role: isClient ? 'client' : 'server',
    service: stream.service,
    peer: stream.peer,
    state: stream.state === 'open' && !stream.isAttached ? 'detached' : stream.state,
    sentBytes: stream.conduit.queue.sent,
    receivedBytes: stream.conduit.position.received,
    path: pathOf(stream, self, stream.hops),
    ...(isClient ? { protected: isProtected(stream.peer) } : {}),
    moveCount: stream.moveCount,
    moves: stream.moves.slice(-SHOWN_MOVES).map(({ wallMs, from, to, ...move }) => ({
      ...move,
      from: pathOf(stream, self, from),
      to: pathOf(stream, self, to),
      at: new Date(wallMs).toISOString(),
    })),
    openedAt: new Date(stream.openedWallMs).toISOString(),
  };
}

/** From the client to the server, both named. Hops lead away from this node, to the peer. */
function pathOf({ direction }: ConduitHandle, self: string, hops: readonly string[]): readonly string[] {
  const path = [self, ...hops];
  return direction === 'out' ? path : path.toReversed();
}
