import { Histogram } from '#kernel/histogram.ts';
import type { Metric, Sample } from '#io/metrics-text/exposition.ts';

/** Seconds; the bars of reads are at 50 and 100 ms. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: Histogram;
}

/** How long requests took, by route and outcome: as many series as there are routes, methods and classes of status. */
export class RequestTimes {
  readonly #series = new Map<string, Series>();

  /** `route` as it was declared, never as it was asked for. */
  note(method: string, route: string, statusCode: number, seconds: number): void {
    const status = `${Math.floor(statusCode / 100)}xx`;
    const key = `${method} ${route} ${status}`;
    const known = this.#series.get(key) ?? { labels: { method, route, status }, value: new Histogram(BOUNDS) };
    this.#series.set(key, known);
    known.value.observe(seconds);
  }

  metric(): Metric {
    return {
      name: 'x0tta6bl4_http_request_seconds',
      help: 'Requests to the API, from their first byte to the last of the answer, by route and class of status.',
      type: 'histogram',
      read: (): Iterable<Sample> => this.#series.values(),
    };
  }
}
