import type { Tunnel } from '#mesh/node/tunnel.ts';
import type { NodeProcess } from '../host/node-process.ts';
import type { World } from '../world/world.ts';

/** When all streams are over nobody holds one any more: neither an application's nor a relay's half. */
export function checkLeaks(world: World): void {
  const gone = new Set(
    [...world.traffic.attempts.values()].filter(({ isEndGone }) => isEndGone).map(({ number }) => number),
  );
  for (const process of world.running()) {
    for (const local of process.node.streams.list()) {
      const number = world.traffic.numberOf(local);
      if (number === undefined || gone.has(number)) continue;
      world.report('STREAM_LEAKED', `${process.name} still holds stream ${number}`, [process.name, local.peer]);
    }
    for (const tunnel of process.links.tunnels()) checkRelayed(world, process, tunnel);
  }
}

/** Halves of circuits that a relay holds: none has lost its mate, and none keeps credit of which nothing waits. */
function checkRelayed(world: World, process: NodeProcess, tunnel: Tunnel): void {
  for (const { owner, window } of tunnel.mux.streams()) {
    if (owner?.kind !== 'relay') continue;
    const names = [process.name, tunnel.peer.name];
    if (owner.mate.state === 'closed')
      world.report('CIRCUIT_LEAKED', `${process.name} keeps half of a circuit that has ended`, names);
    else if (owner.mate.queue.bytes > 0) continue;
    else if (owner.heldBytes > 0 || window.creditBytes * 2 <= window.sizeBytes)
      world.report(
        'CREDIT_HELD',
        `${process.name} holds ${owner.heldBytes} bytes and has ${window.creditBytes} of ${window.sizeBytes} granted`,
        names,
      );
  }
}
