import {
  errorCode,
  errorText,
  type OpenedStream,
  StreamError,
  type StreamOpener,
} from '#io/stream-splice/stream-opener.ts';
import { encodeProxyHeader } from '#io/proxy-protocol/proxy-header.ts';
import { connectTarget } from '#io/target-tcp/connect-target.ts';
import type { TargetPolicy } from '#io/target-policy/target-policy.ts';
import type { MeshDriver } from '#io/mesh-driver/mesh-driver.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';
import type { SnapshotInstance } from '#trust/snapshot.ts';

interface ServiceOpenerPorts {
  readonly self: { readonly name: string; readonly spiffeId: string };
  readonly node: MeshNode;
  readonly driver: MeshDriver;
  readonly targets: TargetPolicy;
}

/** Who asks through a proxy sees no more than this. */
function explain(error: unknown): never {
  if (errorCode(error) !== 'NO_PATH') throw error;
  const what = `${errorText(error)}: this node has no way to a node that is up and publishes the service`;
  throw new StreamError(
    'NO_PATH',
    `${what}; \`x0 status\` where the control plane runs says what is missing, for example a relay that both reach`,
  );
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
export function createServiceOpener({ self, node, driver, targets }: ServiceOpenerPorts): StreamOpener {
  return {
    open: async (service) => {
      if (!node.directory.has(service)) throw new StreamError('SERVICE_UNKNOWN', `no service is called ${service}`);
      const here = node.directory.instanceOn(service, self.name);
      if (here !== undefined) return await connectInstance(targets, here, self.spiffeId, service);
      if (node.isDraining) throw new StreamError('NODE_DRAINING', `${self.name} is about to stop`);
      return await driver.openService(service).catch(explain);
    },
  };
}
