import { Socket } from 'node:net';
import { MeshStream } from '#io/mesh-driver/mesh-stream.ts';
import { errorCode, type OpenedStream } from '#io/stream-splice/stream-opener.ts';
import type { Tracing } from '#io/tracing-otlp/tracing.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';

/** A span of each stream where it is asked for and where it ends, from its opening to its close. */
export class StreamTracing {
  readonly #tracing: Tracing;

  constructor(tracing: Tracing) {
    this.#tracing = tracing;
  }

  /** `open` gets the `traceparent` to send along. */
  async client(
    service: string,
    parent: string | undefined,
    open: (trace: string | undefined) => Promise<OpenedStream>,
  ): Promise<OpenedStream> {
    return await this.#trace('client', service, parent, {}, open);
  }

  async server(
    service: string,
    caller: string,
    parent: string | undefined,
    open: () => Promise<OpenedStream>,
  ): Promise<OpenedStream> {
    return await this.#trace('server', service, parent, { 'x0.caller': caller }, open);
  }

  async #trace(
    kind: 'client' | 'server',
    service: string,
    parent: string | undefined,
    about: Readonly<Record<string, string>>,
    open: (trace: string | undefined) => Promise<OpenedStream>,
  ): Promise<OpenedStream> {
    const span = this.#tracing.begin(`${kind === 'client' ? 'open' : 'serve'} ${service}`, kind, parent);
    const attributes = { 'x0.service': service, ...about };
    try {
      const stream = await open(span.traceparent);
      stream.once('close', () => {
        const failure = stream.errored === null ? undefined : errorCode(stream.errored);
        span.end({ ...attributes, ...describe(stream) }, failure);
      });
      return stream;
    } catch (error) {
      span.end(attributes, errorCode(error));
      throw error;
    }
  }
}

function describe(stream: OpenedStream): Readonly<Record<string, string | number>> {
  if (stream instanceof Socket) return { 'x0.sent_bytes': stream.bytesWritten, 'x0.received_bytes': stream.bytesRead };
  const local = stream instanceof MeshStream ? stream.local : undefined;
  if (!(local instanceof ConduitHandle)) return {};
  return {
    'x0.peer': local.peer,
    'x0.path': local.hops.join(' '),
    'x0.moves': local.moveCount,
    'x0.sent_bytes': local.conduit.queue.sent,
    'x0.received_bytes': local.conduit.position.received,
  };
}
