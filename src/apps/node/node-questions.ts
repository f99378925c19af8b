import { CodedError } from '#control/coded-error.ts';
import type { ReportedPeer, ReportedProblem } from '#control/report.ts';
import type { LinkWatch } from '#io/detector-udp/link-detector.ts';
import { formatHostPort, type HostPort } from '#io/edge-listener/host-port.ts';
import type { MeshDriver } from '#io/mesh-driver/mesh-driver.ts';
import { probePorts } from '#io/port-probe/port-probe.ts';
import { errorCode, errorText } from '#io/stream-splice/stream-opener.ts';
import { TargetPolicy } from '#io/target-policy/target-policy.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';
import type { Path } from '#topology/paths.ts';
import { isNodeName } from '#trust/identity.ts';
import { describeStream } from './describe-stream.ts';
import { explainQuestion, readSupposedChange } from './policy-questions.ts';
import { firstRows } from './first-rows.ts';
import type { NodePolicy } from './node-policy.ts';

interface NodeQuestionsPorts {
  readonly self: string;
  readonly node: MeshNode;
  readonly driver: MeshDriver;
  readonly targets: TargetPolicy;
  readonly policy: NodePolicy;
  /** Services of open streams that begin and end here, one for each. */
  localServices(): readonly string[];
}

/** In one line for a person. */
const NAMED_UNPROTECTED = 5;

type Arguments = Readonly<Record<string, unknown>>;

/** What a node answers about itself, the same to its control plane and to its own administration port. */
export class NodeQuestions {
  readonly #ports: NodeQuestionsPorts;

  constructor(ports: NodeQuestionsPorts) {
    this.#ports = ports;
  }

  /** Live authenticated neighbours. */
  peers(): readonly ReportedPeer[] {
    const links = this.#ports.node.tunnels().filter((tunnel) => tunnel.via === 'tcp' && tunnel.state === 'up');
    return links.map((link) => describeLink(link, this.#ports.driver.watchOf(link)));
  }

  /** Answers one question; a CodedError says what was wrong with it. */
  async answer(op: string, args: Arguments): Promise<unknown> {
    switch (op) {
      case 'peers':
        return firstRows('peers', this.peers(), (peer) => peer);
      case 'streams':
        return this.#streams();
      case 'path':
        return this.#path(nodeName(args));
      case 'ping':
        return await this.#ping(nodeName(args));
      case 'check-target':
        return await this.#checkTarget(args);
      case 'why':
        return explainQuestion(this.#ports.policy, args);
      case 'dry-run':
        return await this.#dryRun(args);
      case 'check-listen':
        return await this.#checkListen(args);
      default:
        throw new CodedError('QUESTION_UNKNOWN', `this node does not know the question ${op.slice(0, 64)}`);
    }
  }

  /** Destinations of this node's streams that one relay's death may take. */
  problems(): readonly ReportedProblem[] {
    const { node } = this.#ports;
    const names = [...node.streams.conduits.record.destinations()].filter(
      (peer) => !node.linkState.path(peer).protected,
    );
    if (names.length === 0) return [];
    const shown = names.slice(0, NAMED_UNPROTECTED).join(', ');
    const more = names.length > NAMED_UNPROTECTED ? ` and ${names.length - NAMED_UNPROTECTED} more` : '';
    return [{ code: 'UNPROTECTED', message: `streams to ${shown}${more} have no second way that shares no relay` }];
  }

  /** Open ones, and those that ended lately. */
  #streams(): unknown {
    const { streams } = this.#ports.node;
    return {
      ...firstRows('streams', streams.list(), (stream) => this.#describeStream(stream)),
      ended: streams.ended().map((stream) => ({
        ...this.#describeStream(stream),
        endedAt: new Date(stream.endedWallMs).toISOString(),
        reason: stream.endReason?.code ?? null,
      })),
    };
  }

  /** Live streams that end here and that other policies would end. */
  async #dryRun(args: Arguments): Promise<unknown> {
    const { node, policy, self } = this.#ports;
    const incoming = node.streams.list().filter(({ direction }) => direction === 'in');
    const own = this.#ports.localServices().map((service) => ({ caller: self, service }));
    const streams = [...incoming.map(({ peer, service }) => ({ caller: peer, service })), ...own];
    const closed = await policy.deniedUnder(readSupposedChange(args), streams);
    return { streams: streams.length, ...firstRows('closes', closed, (stream) => ({ ...stream, node: self })) };
  }

  #path(to: string): unknown {
    const { self, node } = this.#ports;
    if (to === self) return { primary: { hops: [self], cost: 0 }, backup: null, protected: true };
    const pair = node.linkState.path(to);
    return {
      primary: this.#describePath(pair.primary),
      backup: this.#describePath(pair.backup),
      protected: pair.protected,
    };
  }

  #describePath(path: Path | undefined): unknown {
    return path === undefined ? null : { hops: [this.#ports.self, ...path.hops], cost: path.cost };
  }

  async #ping(to: string): Promise<unknown> {
    const { self, driver, node } = this.#ports;
    if (to === self) return { node: to, rttMs: 0, path: [self] };
    const rttMs = await driver.ping(to).catch((error: unknown) => {
      throw new CodedError(errorCode(error), `no answer from ${to}: ${errorText(error)}`);
    });
    const hops = node.tunnelTo(to)?.hops ?? [];
    return { node: to, rttMs: toMicroseconds(rttMs), path: [self, ...hops] };
  }

  async #checkTarget(args: Arguments): Promise<unknown> {
    const { host, port } = hostPort(args);
    const pinned = await this.#ports.targets.pin(host, port);
    if (pinned.ok) return { host: pinned.value.host, port };
    const { self } = this.#ports;
    const target = formatHostPort({ host, port });
    const { code, why, isPermittable } = pinned.error;
    if (code === 'TARGET_UNKNOWN_HOST') throw new CodedError(code, `${self} knows no address of ${host}`);
    throw new CodedError(code, `${self} may not dial ${target}: ${isPermittable ? await advice(host, port) : why}`);
  }

  /** Whether this node could listen there now. */
  async #checkListen(args: Arguments): Promise<unknown> {
    const at = hostPort(args);
    try {
      await probePorts([at]);
    } catch (error) {
      throw error instanceof CodedError ? new CodedError(error.code, `${this.#ports.self}: ${error.message}`) : error;
    }
    return at;
  }

  #describeStream(stream: ConduitHandle): Record<string, unknown> {
    const { self, node } = this.#ports;
    return describeStream(stream, self, (peer) => node.linkState.path(peer).protected);
  }
}

/** What permits a target that this node's patterns refuse: a name may not lead everywhere that its address may. */
async function advice(host: string, port: number): Promise<string> {
  const pattern = formatHostPort({ host, port });
  const pinned = await new TargetPolicy({ patterns: [pattern], ownPorts: () => [] }).pin(host, port);
  return pinned.ok
    ? `start it with --allow-target ${pattern}`
    : 'a name may not lead there; name one address of the service';
}

function hostPort({ host, port }: Arguments): HostPort {
  if (typeof host === 'string' && typeof port === 'number') return { host, port };
  throw new CodedError('ADDRESS_INVALID', 'name a host and a port');
}

function describeLink(link: Tunnel, watch: LinkWatch | undefined): ReportedPeer {
  const rttMs = watch?.measurement?.rttMs ?? (link.mux.rttMs === 0 ? null : link.mux.rttMs);
  return {
    name: link.peer.name,
    state: link.state,
    rttMs: rttMs === null ? null : toMicroseconds(rttMs),
    detector: watch?.detector ?? 'in-band',
    group: link.group,
    signature: link.peer.publicKeyAlgorithm,
    notAfter: new Date(link.peer.notAfterMs).toISOString(),
  };
}

/** A clock that others share with us is no more exact. */
function toMicroseconds(timeMs: number): number {
  return Math.round(timeMs * 1000) / 1000;
}

function nodeName(args: Arguments): string {
  const { to } = args;
  if (typeof to === 'string' && isNodeName(to)) return to;
  throw new CodedError('NODE_UNKNOWN', 'name a node');
}
