import type { Metric, Sample } from '#io/metrics-text/exposition.ts';
import { eventSamples, processMetrics } from '#io/metrics-text/process-metrics.ts';
import type { LinkWatch } from '#io/detector-udp/link-detector.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';
import type { SnapshotHeader } from '#trust/snapshot.ts';

export interface NodeMetricsSources {
  readonly node: MeshNode;
  readonly watchOf: (link: Tunnel) => LinkWatch | undefined;
  readonly snapshot: () => SnapshotHeader | undefined;
  /** When the node's SVID ends, Unix milliseconds. */
  readonly notAfterMs: () => number;
  readonly isControlUp: () => boolean;
}

/** All that a node says at `/metrics`; docs/reference/metrics.md explains each, and a test compares the two. */
export function nodeMetrics(sources: NodeMetricsSources): readonly Metric[] {
  return [...streamMetrics(sources), ...linkMetrics(sources), ...trustMetrics(sources), ...processMetrics()];
}

function streamMetrics({ node }: NodeMetricsSources): readonly Metric[] {
  const { conduits } = node.streams;
  return [
    {
      name: 'x0tta6bl4_streams',
      help: 'Streams of services that begin (client) or end (server) at this node, by state.',
      type: 'gauge',
      read: () => {
        const groups = Object.groupBy(node.streams.list(), ({ direction, state, isAttached }) => {
          const role = direction === 'out' ? 'client' : 'server';
          return `${role} ${state === 'open' && !isAttached ? 'detached' : state}`;
        });
        return Object.entries(groups).map(([key, streams]): Sample => {
          const [role = '', state = ''] = key.split(' ');
          return { labels: { role, state }, value: streams?.length ?? 0 };
        });
      },
    },
    {
      name: 'x0tta6bl4_stream_open_seconds',
      help: 'From the wish of an application at this node to the answer of the other end.',
      type: 'histogram',
      read: () => [{ value: conduits.record.openSeconds }],
    },
    {
      name: 'x0tta6bl4_stream_gap_seconds',
      help: 'For how long nothing connected the two ends of a stream that went over to another way.',
      type: 'histogram',
      read: () => [{ value: conduits.record.gapSeconds }],
    },
    {
      name: 'x0tta6bl4_circuits',
      help: 'Circuits of others that run through this node.',
      type: 'gauge',
      read: () => [{ value: node.circuitCount }],
    },
    {
      name: 'x0tta6bl4_events_total',
      help: 'What happened at this node, by event and, where there is one, the code of its reason.',
      type: 'counter',
      read: () => eventSamples({ ...node.linkState.counters.toJSON(), ...node.counters.toJSON() }),
    },
  ];
}

function linkMetrics({ node, watchOf }: NodeMetricsSources): readonly Metric[] {
  const links = (): readonly Tunnel[] => node.tunnels().filter(({ via, state }) => via === 'tcp' && state === 'up');
  const ofLinks = (value: (link: Tunnel) => number | undefined) => (): readonly Sample[] =>
    links().flatMap((link) => {
      const read = value(link);
      return read === undefined ? [] : [{ labels: { peer: link.peer.name }, value: read }];
    });
  const tunnels = (via: Tunnel['via']): number =>
    node.tunnels().filter((tunnel) => tunnel.via === via && tunnel.state === 'up').length;
  return [
    {
      name: 'x0tta6bl4_tunnels',
      help: 'Tunnels that are up: over TCP to neighbours (link), and over circuits to others (end_to_end).',
      type: 'gauge',
      read: () => [
        { labels: { kind: 'link' }, value: tunnels('tcp') },
        { labels: { kind: 'end_to_end' }, value: tunnels('circuit') },
      ],
    },
    {
      name: 'x0tta6bl4_link_round_trip_seconds',
      help: 'Smoothed round trip to a neighbour.',
      type: 'gauge',
      read: ofLinks((link) => {
        const rttMs = watchOf(link)?.measurement?.rttMs ?? (link.mux.rttMs === 0 ? undefined : link.mux.rttMs);
        return rttMs === undefined ? undefined : rttMs / 1_000;
      }),
    },
    {
      name: 'x0tta6bl4_link_jitter_seconds',
      help: 'Smoothed difference of consecutive round trips to a neighbour; only where UDP probes pass.',
      type: 'gauge',
      read: ofLinks((link) => {
        const jitterMs = watchOf(link)?.measurement?.jitterMs;
        return jitterMs === undefined ? undefined : jitterMs / 1_000;
      }),
    },
    {
      name: 'x0tta6bl4_link_loss_ratio',
      help: 'Share of probes to a neighbour that were lost on the way there or back, 0 to 1; only where UDP probes pass.',
      type: 'gauge',
      read: ofLinks((link) => watchOf(link)?.measurement?.lossRatio),
    },
    {
      name: 'x0tta6bl4_link_carried_bytes_total',
      help: 'Bytes that a link has carried in the direction that carried more, since it came up.',
      type: 'counter',
      read: ofLinks((link) => link.mux.carriedBytes),
    },
  ];
}

function trustMetrics({ node, snapshot, notAfterMs, isControlUp }: NodeMetricsSources): readonly Metric[] {
  const ofSnapshot = (value: (header: SnapshotHeader) => number) => (): readonly Sample[] => {
    const header = snapshot();
    return header === undefined ? [] : [{ value: value(header) }];
  };
  return [
    {
      name: 'x0tta6bl4_control_connected',
      help: 'Whether this node has a session with a control plane, 1 or 0.',
      type: 'gauge',
      read: () => [{ value: isControlUp() ? 1 : 0 }],
    },
    {
      name: 'x0tta6bl4_snapshot_version',
      help: 'Version of the snapshot that this node believes.',
      type: 'gauge',
      read: ofSnapshot(({ version }) => version),
    },
    {
      name: 'x0tta6bl4_snapshot_issued_time_seconds',
      help: 'When a control plane signed it, Unix seconds.',
      type: 'gauge',
      read: ofSnapshot(({ issuedAtMs }) => issuedAtMs / 1_000),
    },
    {
      name: 'x0tta6bl4_certificate_not_after_time_seconds',
      help: 'When the SVID of this node ends, Unix seconds.',
      type: 'gauge',
      read: () => [{ value: notAfterMs() / 1_000 }],
    },
    {
      name: 'x0tta6bl4_draining',
      help: 'Whether this node drains, 1 or 0.',
      type: 'gauge',
      read: () => [{ value: node.isDraining ? 1 : 0 }],
    },
  ];
}
