import { CodedError } from '#control/coded-error.ts';

/** Where traces are sent, and how many. */
export interface TraceTarget {
  /** Base address of an OTLP/HTTP receiver. */
  readonly endpoint: string;
  /** Share of traces that begin here and are kept, 0 to 1. */
  readonly ratio: number;
}

/**
 * OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_ENDPOINT`, without which nothing is traced, and `OTEL_TRACES_SAMPLER_ARG`, 1 by default.
 * Throws USAGE on what cannot be.
 */
export function parseTraceTarget(environment: Readonly<Record<string, string | undefined>>): TraceTarget | undefined {
  const endpoint = environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (endpoint === undefined || endpoint === '') return undefined;
  const { protocol } = URL.parse(endpoint) ?? {};
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new CodedError('USAGE', 'OTEL_EXPORTER_OTLP_ENDPOINT: write http://HOST:PORT or https://HOST:PORT');
  const ratio = Number(environment['OTEL_TRACES_SAMPLER_ARG'] ?? '1');
  if (!(ratio >= 0 && ratio <= 1)) throw new CodedError('USAGE', 'OTEL_TRACES_SAMPLER_ARG: write a share from 0 to 1');
  return { endpoint, ratio };
}
