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
    for (const tunnel of process.links.tunnels())
      for (const { owner } of tunnel.mux.streams())
        if (owner?.kind === 'relay' && owner.mate.state === 'closed')
          world.report('CIRCUIT_LEAKED', `${process.name} keeps half of a circuit that has ended`, [
            process.name,
            tunnel.peer.name,
          ]);
  }
}
