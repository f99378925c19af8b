import type { Decision, EntityRef, PolicyEntity, PolicyText, PolicyValue } from '#trust/policy/engine.ts';
import { PolicyDecider, type PolicyDeciderPorts } from '#trust/policy/policy-decider.ts';
import type { PolicyReading } from '#trust/policy/policy-reading.ts';
import { CONNECT, MEMBERS } from '#trust/policy/schema.ts';
import type { SnapshotBody, SnapshotNode } from '#trust/snapshot.ts';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
/** 1 January 1970 was a Thursday. */
const WEEKDAYS = ['thursday', 'friday', 'saturday', 'sunday', 'monday', 'tuesday', 'wednesday'] as const;
/** Of a node that nobody has seen: no policy's patience is so long. */
const NEVER_SEEN_MINUTES = 2 ** 31;

/** What policies are told of the time: whole minutes, UTC. */
export function timeContext(wallMs: number): Readonly<Record<string, PolicyValue>> {
  const minutes = Math.floor(wallMs / MINUTE_MS);
  const days = Math.floor(minutes / DAY_MINUTES);
  return { minuteOfDay: minutes - days * DAY_MINUTES, weekday: WEEKDAYS[((days % 7) + 7) % 7] ?? 'thursday' };
}

/** A node as policies see it. */
export function nodeEntity(node: SnapshotNode, wallMs: number): PolicyEntity {
  const groups = [MEMBERS, ...Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)];
  const { version, os, health, seenAtMs } = node.posture ?? UNKNOWN;
  const silentMinutes = seenAtMs === 0 ? NEVER_SEEN_MINUTES : Math.max(0, Math.floor((wallMs - seenAtMs) / MINUTE_MS));
  const lastSeenMinutes = health === 'up' ? 0 : Math.min(silentMinutes, NEVER_SEEN_MINUTES);
  return {
    type: 'Node',
    id: node.name,
    attributes: { relay: node.relay, posture: { version, os, health, lastSeenMinutes } },
    parents: groups.map((id): EntityRef => ({ type: 'Group', id })),
  };
}

const UNKNOWN = { version: 'unknown', os: 'unknown', health: 'unknown', seenAtMs: 0 };

/** Which node may open a stream to which service, by the believed snapshot. Before the first one nothing is allowed. */
export class MeshPolicy {
  readonly decider: PolicyDecider;
  readonly #wallMs: () => number;
  #nodes = new Map<string, SnapshotNode>();

  constructor(ports: PolicyDeciderPorts) {
    this.decider = new PolicyDecider(ports);
    this.#wallMs = () => ports.wallMs();
  }

  /** `policies`: others than the snapshot's, for what a change would do; `reading`: of them, as far as it came. */
  handleSnapshot(
    body: SnapshotBody,
    version: number,
    policies: readonly PolicyText[] = body.policies ?? [],
    reading?: PolicyReading,
  ): void {
    this.#nodes = new Map(body.nodes.map((node) => [node.name, node]));
    this.decider.load(policies, (entity) => this.#find(entity), version, reading);
  }

  /** Whether a decision may change with the minute. */
  get usesTime(): boolean {
    return this.decider.index.usesTime;
  }

  decideConnect(caller: string, service: string): Decision {
    return this.decider.decide({
      principal: { type: 'Node', id: caller },
      action: CONNECT,
      resource: { type: 'Service', id: service },
      context: timeContext(this.#wallMs()),
    });
  }

  #find({ type, id }: EntityRef): PolicyEntity | undefined {
    const node = type === 'Node' ? this.#nodes.get(id) : undefined;
    return node === undefined ? undefined : nodeEntity(node, this.#wallMs());
  }
}
