import {
  errorCode,
  errorText,
  type OpenedStream,
  StreamError,
  type StreamOpener,
  type StreamSource,
} from '#io/stream-splice/stream-opener.ts';
import { encodeProxyHeader } from '#io/proxy-protocol/proxy-header.ts';
import { connectTarget } from '#io/target-tcp/connect-target.ts';
import type { TargetPolicy } from '#io/target-policy/target-policy.ts';
import type { Denial } from '#mesh/node/stream-policy.ts';
import type { ServiceDirectory } from '#mesh/node/services.ts';
import type { SnapshotInstance } from '#trust/snapshot.ts';
import type { StreamTracing } from './stream-tracing.ts';

interface ServiceOpenerPorts {
  readonly self: { readonly name: string; readonly spiffeId: string };
  readonly directory: ServiceDirectory;
  readonly targets: TargetPolicy;
  /** Fulfilled when a decision holds up nothing. */
  policyReady(): Promise<void>;
  /** Why this node may not have the service; undefined: it may. */
  denialOf(service: string): Denial | undefined;
  isDraining(): boolean;
  /** Whether another node that publishes the service can be reached. */
  isElsewhere(service: string): boolean;
  /** A stream to an instance on another node. */
  openElsewhere(service: string, trace: string | undefined): Promise<OpenedStream>;
  readonly tracing: StreamTracing;
}

/** Connects a service's target on this host for a caller, with the caller's identity in front where the service wants it. */
export async function connectInstance(
  targets: TargetPolicy,
  instance: SnapshotInstance,
  callerSpiffeId: string,
  service: string,
): Promise<OpenedStream> {
  const { host, port, proxyProtocol } = instance;
  const header = proxyProtocol ? encodeProxyHeader({ spiffeId: callerSpiffeId, service }) : undefined;
  return await connectTarget(targets, { host, port, header });
}

/** Streams for this node's own proxies and forwards: to an instance here directly, else through the mesh. */
export class ServiceOpener implements StreamOpener {
  readonly #ports: ServiceOpenerPorts;
  readonly #localStreams = new Map<OpenedStream, string>();

  constructor(ports: ServiceOpenerPorts) {
    this.#ports = ports;
  }

  /** Open streams that begin and end here: no conduit knows them. */
  get localStreams(): number {
    return this.#localStreams.size;
  }

  /** Services that they are of, one for each. */
  localServices(): readonly string[] {
    return [...this.#localStreams.values()];
  }

  /** Ends those that the policy allows no more. Decisions for one node by services are few, whatever the number of streams. */
  decideAgain(): void {
    for (const [stream, service] of this.#localStreams) {
      const denial = this.#ports.denialOf(service);
      if (denial !== undefined) stream.destroy(denied(service, denial));
    }
  }

  async open(service: string, source?: StreamSource): Promise<OpenedStream> {
    return await this.#ports.tracing.client(service, source?.trace, async (trace) => this.#open(service, trace));
  }

  async #open(service: string, trace: string | undefined): Promise<OpenedStream> {
    const { self, directory } = this.#ports;
    if (!directory.has(service)) throw new StreamError('SERVICE_UNKNOWN', `no service is called ${service}`);
    if (this.#ports.isDraining()) throw new StreamError('NODE_DRAINING', `${self.name} is about to stop`);
    await this.#ports.policyReady();
    const denial = this.#ports.denialOf(service);
    if (denial !== undefined) throw denied(service, denial);
    const here = directory.instanceOn(service, self.name);
    if (here === undefined) return await this.#openElsewhere(service, trace);
    try {
      return await this.#openHere(here, service);
    } catch (error) {
      if (!(error instanceof StreamError) || !this.#ports.isElsewhere(service)) throw error;
      return await this.#openElsewhere(service, trace);
    }
  }

  async #openHere(instance: SnapshotInstance, service: string): Promise<OpenedStream> {
    const { targets, self } = this.#ports;
    const stream = await connectInstance(targets, instance, self.spiffeId, service);
    this.#localStreams.set(stream, service);
    stream.once('close', () => this.#localStreams.delete(stream));
    return stream;
  }

  async #openElsewhere(service: string, trace: string | undefined): Promise<OpenedStream> {
    return await this.#ports.openElsewhere(service, trace).catch(explain);
  }
}

function denied(service: string, { code, decision }: Denial): StreamError {
  if (decision === undefined) return new StreamError(code, STOOD_DOWN[code] ?? code);
  return new StreamError(code, `the policy does not allow this node ${service}; x0 why ${decision} says why`, decision);
}

const STOOD_DOWN: Readonly<Record<string, string>> = {
  SNAPSHOT_STALE: 'this node has not heard of its control plane for too long to know who may have what',
  CERT_REVOKED: 'this node was revoked, or its name was admitted again elsewhere',
};

/** Who asks through a proxy sees no more than this. */
function explain(error: unknown): never {
  if (errorCode(error) !== 'NO_PATH') throw error;
  const what = `${errorText(error)}: this node has no way to a node that is up and publishes the service`;
  throw new StreamError(
    'NO_PATH',
    `${what}; \`x0 status\` where the control plane runs says what is missing, for example a relay that both reach`,
  );
}
