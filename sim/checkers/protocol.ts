import type { NodeProcess } from '../host/node-process.ts';
import type { World } from '../world/world.ts';

/** Tunnels that may fail although everybody keeps the protocol. */
const HONEST_FAILURES = new Set([
  'CERT_REVOKED',
  'HELLO_TIMEOUT',
  'LINK_NOT_PLANNED',
  'TUNNEL_SILENT',
  'TUNNEL_STALLED',
]);
/** Counters of link state that only a liar makes grow. */
const ONLY_BY_LIARS = [
  'record-bad-signature',
  'record-certificate-of-another',
  'record-from-the-future',
  'record-body-malformed',
  'record-origin-rate',
  'message-malformed',
  'message-unknown-kind',
  'certificate-refused',
];
const FAILURE = /^tunnel-failed-(.*)$/;

/** Nodes that keep the protocol do not accuse each other of breaking it. */
export function checkProtocol(world: World, processes: Iterable<NodeProcess>, hasLiars: boolean): void {
  for (const process of processes) {
    for (const [name, count] of Object.entries(process.node.counters.toJSON())) {
      const code = FAILURE.exec(name)?.[1];
      if (code !== undefined && !HONEST_FAILURES.has(code))
        world.report('PROTOCOL_BROKEN', `${process.name} ended ${count} tunnels with ${code}`, [process.name]);
    }
    if (!process.machine.member.relay && process.node.counters.get('circuit-forwarded') > 0)
      world.report('LEAF_FORWARDS', `${process.name} is no relay and forwards`, [process.name]);
    if (!hasLiars) checkLinkState(world, process);
  }
}

function checkLinkState(world: World, process: NodeProcess): void {
  const { counters } = process.node.linkState;
  for (const name of ONLY_BY_LIARS)
    if (counters.get(name) > 0)
      world.report('RECORD_REFUSED', `${process.name} counts ${counters.get(name)} of ${name}`, [process.name]);
  if (process.alarms.includes('SEQUENCE_EXHAUSTED'))
    world.report('ALARM_RAISED', `${process.name} says SEQUENCE_EXHAUSTED`, [process.name]);
}
