import { type Duplex, duplexPair } from 'node:stream';
import { StreamError, type StreamOpener, type StreamSource } from './stream-opener.ts';

/** A mesh for tests of the edges: a service is a function that gets the far end, or the code that opening it fails with. */
export class FakeOpener implements StreamOpener {
  readonly opened: { readonly service: string; readonly source: StreamSource }[] = [];
  readonly #services: Readonly<Record<string, string | ((far: Duplex) => void)>>;

  constructor(services: Readonly<Record<string, string | ((far: Duplex) => void)>>) {
    this.#services = services;
  }

  open(service: string, source: StreamSource): Promise<Duplex> {
    this.opened.push({ service, source });
    const serve = this.#services[service] ?? 'SERVICE_UNKNOWN';
    if (typeof serve === 'string') return Promise.reject(new StreamError(serve, `cannot open ${service}`));
    const [near, far] = duplexPair({ allowHalfOpen: true });
    far.on('error', () => far.destroy());
    serve(far);
    return Promise.resolve(near);
  }
}
