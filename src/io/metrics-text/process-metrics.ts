import { performance } from 'node:perf_hooks';
import type { Metric } from '#io/metrics-text/exposition.ts';

const MICROSECONDS = 1e6;

/** What any of our processes says about itself. */
export function processMetrics(): readonly Metric[] {
  const startedSeconds = performance.timeOrigin / 1_000;
  return [
    {
      name: 'x0tta6bl4_process_start_time_seconds',
      help: 'When the process began, Unix seconds.',
      type: 'gauge',
      read: () => [{ value: startedSeconds }],
    },
    {
      name: 'x0tta6bl4_process_cpu_seconds_total',
      help: 'Processor time, all threads, by mode.',
      type: 'counter',
      read: () => {
        const { user, system } = process.cpuUsage();
        return [
          { labels: { mode: 'user' }, value: user / MICROSECONDS },
          { labels: { mode: 'system' }, value: system / MICROSECONDS },
        ];
      },
    },
    {
      name: 'x0tta6bl4_process_resident_memory_bytes',
      help: 'Memory that the process holds in RAM.',
      type: 'gauge',
      read: () => [{ value: process.memoryUsage.rss() }],
    },
    {
      name: 'x0tta6bl4_process_event_loop_busy_ratio',
      help: 'Share of the time since the process began in which its event loop worked, 0 to 1.',
      type: 'gauge',
      read: () => [{ value: performance.eventLoopUtilization().utilization }],
    },
  ];
}

/** Counts whose names end in a code of the catalogue, as events with their codes. */
export function eventSamples(
  counts: Readonly<Record<string, number>>,
): readonly { readonly labels: { readonly event: string; readonly code: string }; readonly value: number }[] {
  return Object.entries(counts).map(([name, value]) => {
    const [, event = name, code = ''] = /^([a-z0-9.-]+?)[-.]([A-Z][A-Z0-9_]*)$/.exec(name) ?? [];
    return { labels: { event, code }, value };
  });
}
