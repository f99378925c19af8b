import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';

/** What a span is of: a stream where it was asked for, where it ends, or a request to our API. */
export type SpanKind = 'client' | 'server';

/** Something that takes time, from `begin` to `end`. */
export interface TracedSpan {
  /** W3C `traceparent` for what is done on its behalf; undefined where there is no trace. */
  readonly traceparent: string | undefined;
  /** Once. `code` says why it failed. */
  end(attributes: Attributes, code?: string): void;
}

export interface Tracing {
  /** `parent` is a `traceparent`; without one a new trace begins. */
  begin(name: string, kind: SpanKind, parent: string | undefined): TracedSpan;
  /** Sends what is left, but does not wait long. */
  close(): Promise<void>;
}

export interface TracingOptions {
  /** Base address of an OTLP/HTTP receiver; `/v1/traces` is added. */
  readonly endpoint: string;
  /** `x0-node` or `x0-control`. */
  readonly service: string;
  /** Which of them. */
  readonly instance: string;
  /** Share of traces that begin here and are kept, 0 to 1; those that began elsewhere keep what was decided there. */
  readonly ratio: number;
  readonly warn: (message: string) => void;
}

/** Spans that wait to be sent; beyond it they are dropped. */
const QUEUE_SPANS = 2_048;
const EXPORT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const NO_TRACE_ID = '0'.repeat(32);
const NO_SPAN_ID = '0'.repeat(16);

/** W3C Trace Context §3.2, version 00; undefined for anything else. */
export function parseTraceparent(
  text: string | undefined,
): { readonly traceId: string; readonly spanId: string; readonly traceFlags: number } | undefined {
  const [, traceId = NO_TRACE_ID, spanId = NO_SPAN_ID, flags = '00'] = TRACEPARENT.exec(text ?? '') ?? [];
  if (traceId === NO_TRACE_ID || spanId === NO_SPAN_ID) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) };
}

/** Where nothing is traced, what others trace still passes through. */
export const NO_TRACING: Tracing = {
  begin: (_name, _kind, parent) => ({
    traceparent: parseTraceparent(parent) === undefined ? undefined : parent,
    end: () => undefined,
  }),
  close: async () => undefined,
};

/** Traces that are sent by OTLP over HTTP. The libraries are loaded here, because they take 27 MiB. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const { endpoint, service, instance, ratio } = options;
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS });
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': instance }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter, maxQueueSize: QUEUE_SPANS })],
  });
  api.diag.setLogger(warnOnce(options.warn), api.DiagLogLevel.ERROR);
  const tracer = provider.getTracer('x0tta6bl4');
  const contextOf = (parent: string | undefined): Context => {
    const remote = parseTraceparent(parent);
    return remote === undefined
      ? api.ROOT_CONTEXT
      : api.trace.setSpanContext(api.ROOT_CONTEXT, { ...remote, isRemote: true });
  };
  return {
    begin: (name, kind, parent) => beginSpan(tracer, name, kind, contextOf(parent)),
    close: async () => {
      const shutdown = provider.shutdown().catch((error: unknown) => options.warn(String(error)));
      await Promise.race([shutdown, new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref())]);
    },
  };
}

/** Values of the OpenTelemetry API's enums, which would have to be loaded. */
const KINDS = { server: 1, client: 2 } as const;
const STATUS_ERROR = 2;

function beginSpan(tracer: Tracer, name: string, kind: SpanKind, parent: Context): TracedSpan {
  const span: Span = tracer.startSpan(name, { kind: KINDS[kind] }, parent);
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    end: (attributes, code) => {
      span.setAttributes(attributes);
      if (code !== undefined) span.setStatus({ code: STATUS_ERROR, message: code });
      span.end();
    },
  };
}

/** A receiver that is away says so at every batch; a log needs that once. */
function warnOnce(
  warn: (message: string) => void,
): Record<'error' | 'warn' | 'info' | 'debug' | 'verbose', () => void> {
  let isTold = false;
  const error = (...told: readonly unknown[]): void => {
    if (isTold) return;
    isTold = true;
    warn(`traces cannot be sent: ${told.map(String).join(' ').slice(0, 300)}`);
  };
  return { error, warn: ignore, info: ignore, debug: ignore, verbose: ignore };
}

function ignore(): void {
  // Below the level that is asked for.
}
