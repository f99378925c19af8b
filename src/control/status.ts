import type { PresenceBoard } from '#control/presence.ts';
import type { ReportedListen, ReportedPeer, ReportedProblem } from '#control/report.ts';
import type { StoredInstance, StoredNode } from '#control/store.ts';

/** One node in `x0 status --json`; fields are only ever added. */
export interface NodeStatus {
  readonly name: string;
  readonly spiffeId: string;
  readonly pid: number | null;
  readonly relay: boolean;
  readonly state: 'up' | 'down';
  /** `draining` before it stops, `drained` once it has stopped so. */
  readonly drain: 'draining' | 'drained' | null;
  readonly revoked: boolean;
  /** ISO 8601; null when nothing came since the control plane started. */
  readonly heardAt: string | null;
  readonly listen: ReportedListen;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly links: readonly string[] | null;
  readonly serial: string;
  /** ISO 8601; the end of the node's latest SVID. */
  readonly notAfter: string;
  readonly peers: readonly ReportedPeer[];
  readonly services: readonly string[];
  readonly counters: Readonly<Record<string, number>>;
  readonly problems: readonly ReportedProblem[];
  /** Of the snapshot that it says it believes; null when it never said. */
  readonly snapshotVersion: number | null;
  /** When that was signed, ISO 8601. */
  readonly snapshotIssuedAt: string | null;
}

export interface ServiceStatus {
  readonly name: string;
  readonly nodes: readonly string[];
  readonly instances: readonly Omit<StoredInstance, 'service'>[];
}

const NOWHERE: ReportedListen = { link: null, socks: null, http: null, admin: null };

/** What people see of the nodes. A node that is down has no peers, whatever it last said. */
export function nodeStatuses(
  nodes: readonly StoredNode[],
  instances: readonly StoredInstance[],
  board: PresenceBoard,
  nowMs: number,
  wallMs: number,
): readonly NodeStatus[] {
  return nodes.map((node) => {
    const heardMs = board.heardMs(node.node);
    const report = board.report(node.node);
    const state = board.state(node.node, nowMs);
    return {
      name: node.node,
      spiffeId: node.spiffeId,
      pid: report?.pid ?? null,
      relay: node.relay,
      state,
      revoked: node.revoked,
      drain: board.drain(node.node, nowMs),
      heardAt: heardMs === undefined ? null : new Date(wallMs - (nowMs - heardMs)).toISOString(),
      listen: report?.listen ?? NOWHERE,
      addresses: node.addresses,
      labels: node.labels,
      links: node.links,
      serial: node.serial,
      notAfter: new Date(node.notAfterMs).toISOString(),
      peers: state === 'up' ? (report?.peers ?? []) : [],
      services: instances.filter((it) => it.node === node.node).map((it) => it.service),
      counters: report?.counters ?? {},
      problems: report?.problems ?? [],
      snapshotVersion: report?.snapshotVersion ?? null,
      snapshotIssuedAt: report?.snapshotIssuedAt ?? null,
    };
  });
}

export function serviceStatuses(instances: readonly StoredInstance[]): readonly ServiceStatus[] {
  return [...Map.groupBy(instances, (instance) => instance.service)].map(([name, members]) => ({
    name,
    nodes: members.map((member) => member.node),
    instances: members.map(({ node, host, port, proxyProtocol }) => ({ node, host, port, proxyProtocol })),
  }));
}
