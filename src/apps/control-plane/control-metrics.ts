import type { SharedState } from '#control/shared.ts';
import type { QueryTimes } from '#io/store-kysely/query-times.ts';
import type { ControlPlane } from '#control/control-plane.ts';
import type { Metric, Sample } from '#io/metrics-text/exposition.ts';
import { processMetrics } from '#io/metrics-text/process-metrics.ts';

export interface ControlMetricsSources {
  readonly control: ControlPlane;
  readonly database: QueryTimes;
  readonly shared: SharedState;
  /** Requests of nodes that were refused, by code. */
  readonly refused: () => Readonly<Record<string, number>>;
  readonly strangers: () => { readonly open: number; readonly refused: number };
  /** When this control plane's own SVID ends, Unix milliseconds. */
  readonly notAfterMs: () => number;
  readonly nowMs: () => number;
}

/** What a control plane says at `/metrics` beside its API's own; docs/reference/metrics.md explains each. */
export function controlMetrics(sources: ControlMetricsSources): readonly Metric[] {
  return [
    ...nodeStates(sources),
    ...snapshotMetrics(sources),
    ...admissionMetrics(sources),
    ...stateMetrics(sources),
    ...processMetrics(),
  ];
}

function stateMetrics({ database, shared }: ControlMetricsSources): readonly Metric[] {
  return [
    ...database.metrics(),
    {
      name: 'x0tta6bl4_shared_state_up',
      help: 'Whether what replicas share can be shared, 1; 0 while Redis does not answer and this replica counts alone.',
      type: 'gauge',
      read: () => [{ value: shared.state() === 'up' ? 1 : 0 }],
    },
  ];
}

function nodeStates({ control, nowMs }: ControlMetricsSources): readonly Metric[] {
  return [
    {
      name: 'x0tta6bl4_nodes',
      help: 'Nodes that have said something since this control plane began, by state.',
      type: 'gauge',
      read: () => {
        const states = control.board.states(nowMs());
        return (['up', 'down'] as const).map((state) => ({
          labels: { state },
          value: states.filter((each) => each === state).length,
        }));
      },
    },
    {
      name: 'x0tta6bl4_node_problems',
      help: 'Problems that nodes report of themselves, by code.',
      type: 'gauge',
      read: () => {
        const groups = Object.groupBy(control.board.problems(), ({ code }) => code);
        return Object.entries(groups).map(
          ([code, problems]): Sample => ({
            labels: { code },
            value: problems?.length ?? 0,
          }),
        );
      },
    },
  ];
}

function snapshotMetrics({ control }: ControlMetricsSources): readonly Metric[] {
  return [
    {
      name: 'x0tta6bl4_snapshot_version',
      help: 'Version of the snapshot that was signed last.',
      type: 'gauge',
      read: () => ofHeader(control, ({ version }) => version),
    },
    {
      name: 'x0tta6bl4_snapshot_issued_time_seconds',
      help: 'When it was signed, Unix seconds.',
      type: 'gauge',
      read: () => ofHeader(control, ({ issuedAtMs }) => issuedAtMs / 1_000),
    },
    {
      name: 'x0tta6bl4_revocation_epoch',
      help: 'Epoch of the latest revocation in that snapshot; 0 without any.',
      type: 'gauge',
      read: () => [{ value: control.publisher.revocations.epoch }],
    },
  ];
}

function ofHeader(
  control: ControlPlane,
  value: (header: { readonly version: number; readonly issuedAtMs: number }) => number,
): readonly Sample[] {
  const header = control.publisher.current?.header;
  return header === undefined ? [] : [{ value: value(header) }];
}

function admissionMetrics({ refused, strangers, notAfterMs }: ControlMetricsSources): readonly Metric[] {
  return [
    {
      name: 'x0tta6bl4_node_requests_refused_total',
      help: 'Requests at the enrolment port that were refused, by code.',
      type: 'counter',
      read: () => refusedSamples(refused()),
    },
    {
      name: 'x0tta6bl4_strangers',
      help: 'Connections at the enrolment port that have not proved the key of a member.',
      type: 'gauge',
      read: () => [{ value: strangers().open }],
    },
    {
      name: 'x0tta6bl4_strangers_refused_total',
      help: 'Such connections that were refused because there were too many.',
      type: 'counter',
      read: () => [{ value: strangers().refused }],
    },
    {
      name: 'x0tta6bl4_certificate_not_after_time_seconds',
      help: 'When the SVID of this control plane ends, Unix seconds.',
      type: 'gauge',
      read: () => [{ value: notAfterMs() / 1_000 }],
    },
  ];
}

/** A series for each code. */
export function refusedSamples(refused: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(refused).map(([code, value]) => ({ labels: { code }, value }));
}
