import { randomBytes, randomInt } from 'node:crypto';
import { LinkDetector } from '#io/detector-udp/link-detector.ts';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { type DriverPorts, MeshDriver } from '#io/mesh-driver/mesh-driver.ts';
import { splice } from '#io/stream-splice/splice.ts';
import type { TunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import type { HandshakeOptions } from '#io/tunnel-tls/handshake.ts';
import { LinkListener } from '#io/tunnel-tls/link-listener.ts';
import { createLinkStatePorts } from '#io/tunnel-tls/linkstate-ports.ts';
import type { DetectorProfile } from '#mesh/detector/session.ts';
import type { GossipPorts } from '#mesh/gossip/snapshot-gossip.ts';
import { MeshNode } from '#mesh/node/mesh-node.ts';
import type { StreamPolicy } from '#mesh/node/stream-policy.ts';
import { nodeSpiffeId, type PeerIdentity } from '#trust/identity.ts';

interface MeshRuntimeOptions {
  /** Present credentials; asked at every handshake and signature. */
  readonly credentials: () => TunnelCredentials;
  /** Unix milliseconds at which this process began. */
  readonly incarnation: number;
  readonly relay: boolean;
  readonly link: HostPort | undefined;
  /** How fast silence of a neighbour is noticed; undefined: in band only. */
  readonly detector: DetectorProfile | undefined;
  readonly connectTarget: DriverPorts['connectTarget'];
  /** What neighbours say about snapshots. */
  readonly gossip: GossipPorts & Pick<DriverPorts, 'believe'>;
  readonly policy: StreamPolicy;
  readonly warn: (code: string, detail: string) => void;
}

/** The mesh side of a node: the machine, its driver and its listener for links. */
export interface MeshRuntime {
  readonly node: MeshNode;
  readonly driver: MeshDriver;
  readonly linkPort: number | undefined;
  close(): void;
}

/** By name, as `--detector` takes them. */
export const DETECTOR_PROFILES = {
  normal: { intervalMs: 100, multiplier: 3 },
  fast: { intervalMs: 50, multiplier: 3 },
  off: undefined,
} as const satisfies Record<string, DetectorProfile | undefined>;

const RANDOM_RANGE = 2 ** 32;

/** Builds and starts the mesh side of a node. Rejects when the link address cannot be bound. */
export async function startMeshRuntime(options: MeshRuntimeOptions): Promise<MeshRuntime> {
  const { credentials } = options;
  const { name, trustDomain } = credentials().identity;
  const isRevoked = (identity: PeerIdentity): boolean => node.isRevoked(identity);
  const node: MeshNode = new MeshNode(
    {
      random: { fraction: () => randomInt(RANDOM_RANGE) / RANDOM_RANGE, bytes: (length) => randomBytes(length) },
      linkState: createLinkStatePorts(credentials, isRevoked),
      gossip: options.gossip,
      policy: options.policy,
    },
    { name, incarnation: options.incarnation, relay: options.relay },
    performance.now(),
    Date.now(),
  );
  const handshake = (expectedNode?: string): HandshakeOptions => ({
    credentials: credentials(),
    expectedSpiffeId: expectedNode === undefined ? undefined : nodeSpiffeId(trustDomain, expectedNode),
    isRevoked,
  });
  const driver = new MeshDriver(node, {
    handshake,
    connectTarget: options.connectTarget,
    splice: (left, right) => void splice(left, right),
    believe: (offer) => options.gossip.believe(offer),
    watchLink: (socket, role, handlers) => detector?.watch(socket, role, handlers),
    warn: options.warn,
  });
  const listener =
    options.link === undefined
      ? undefined
      : new LinkListener({
          ...options.link,
          counters: node.counters,
          handshake: () => handshake(),
          accept: (secured) => driver.acceptLink(secured),
        });
  const listen = await listener?.listen();
  const { detector: profile, warn } = options;
  const detector =
    profile === undefined ? undefined : new LinkDetector({ profile, listen, counters: node.counters, warn });
  const close = (): void => {
    listener?.close();
    driver.close();
    detector?.close();
  };
  return { node, driver, linkPort: listen?.port, close };
}
