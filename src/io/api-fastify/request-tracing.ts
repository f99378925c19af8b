import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseTraceparent, type TracedSpan, type Tracing } from '#io/tracing-otlp/tracing.ts';

/** A span of each request, and the id of its trace, which errors and the audit log name: the caller's where it gave one. */
export class RequestTracing {
  readonly #tracing: Tracing;
  readonly #spans = new WeakMap<IncomingMessage, TracedSpan>();

  constructor(tracing: Tracing) {
    this.#tracing = tracing;
  }

  /** Begins the request's span and returns the id of its trace, 32 hexadecimal digits. */
  begin(request: IncomingMessage): string {
    const { traceparent } = request.headers;
    const parent = typeof traceparent === 'string' ? traceparent : undefined;
    const span = this.#tracing.begin(request.method ?? 'GET', 'server', parent);
    this.#spans.set(request, span);
    return parseTraceparent(span.traceparent)?.traceId ?? randomBytes(16).toString('hex');
  }

  /** `route` as it was declared. */
  end(request: IncomingMessage, route: string, statusCode: number): void {
    const attributes = {
      'http.request.method': request.method ?? 'GET',
      'http.route': route,
      'http.response.status_code': statusCode,
    };
    this.#spans.get(request)?.end(attributes, statusCode >= 500 ? `HTTP ${statusCode}` : undefined);
  }
}
