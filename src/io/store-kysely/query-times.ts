import type { LogEvent } from 'kysely';
import { Histogram } from '#kernel/histogram.ts';
import type { Metric } from '#io/metrics-text/exposition.ts';

/** Seconds: a read of the embedded database takes some tens of microseconds, a statement is given up after five seconds. */
const BOUNDS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** How long the database took to answer, and how often it refused. */
export class QueryTimes {
  readonly #seconds = new Histogram(BOUNDS);
  #failed = 0;

  readonly note = ({ level, queryDurationMillis }: LogEvent): void => {
    this.#seconds.observe(queryDurationMillis / 1_000);
    if (level === 'error') this.#failed++;
  };

  metrics(): readonly Metric[] {
    return [
      {
        name: 'x0tta6bl4_database_query_seconds',
        help: 'Statements that this control plane gave the database, until they were answered or refused.',
        type: 'histogram',
        read: () => [{ value: this.#seconds }],
      },
      {
        name: 'x0tta6bl4_database_failures_total',
        help: 'Statements that the database refused or did not answer.',
        type: 'counter',
        read: () => [{ value: this.#failed }],
      },
    ];
  }
}
