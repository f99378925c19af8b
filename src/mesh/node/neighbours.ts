import type { Counters } from '#kernel/counters.ts';
import type { LinkMeasurement } from '#mesh/detector/link-quality.ts';
import { SnapshotGossip } from '#mesh/gossip/snapshot-gossip.ts';
import { LinkState } from '#mesh/linkstate/linkstate.ts';
import { Membership } from '#mesh/membership/membership.ts';
import { GossipStreams } from '#mesh/node/gossip-streams.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import type { LinkDecision } from '#mesh/node/link-table.ts';
import { LinkTable } from '#mesh/node/link-table.ts';
import { LinkStateStreams } from '#mesh/node/linkstate-streams.ts';
import type { MeshNodeOptions, MeshNodePorts } from '#mesh/node/node-options.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { GossipOwner, LinkStateOwner, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

export interface NeighboursPorts {
  readonly counters: Counters;
  nowMs(): number;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
  /** The plan wants this link no more. */
  drain(tunnel: Tunnel, code: string): void;
}

/** What probes measure is believed for this long; then the link's own PING counts again. */
const PROBED_MS = 5_000;
/** A probe that is lost costs as much as this many round trips: who retransmits waits about so long. */
const LOSS_ROUND_TRIPS = 10;

/** The links of a node: the one per neighbour, what link state says over them, and the plan of which there should be. */
export class Neighbours {
  readonly linkState: LinkState;
  readonly membership: Membership;
  readonly gossip: SnapshotGossip;
  readonly #links: LinkTable;
  readonly #streams: LinkStateStreams;
  readonly #gossipStreams: GossipStreams;
  readonly #ports: NeighboursPorts;
  /** When probes last measured the link to each neighbour. */
  readonly #probedMs = new Map<string, number>();

  constructor(
    nodePorts: MeshNodePorts,
    options: MeshNodeOptions,
    ports: NeighboursPorts,
    nowMs: number,
    wallMs: number,
  ) {
    const { name: origin, incarnation, relay } = options;
    this.#ports = ports;
    this.#links = new LinkTable(origin);
    this.linkState = new LinkState(nodePorts.linkState, { origin, incarnation, relay }, nowMs, wallMs);
    this.membership = new Membership({ random: nodePorts.random }, { name: origin, relay }, nowMs);
    this.#streams = new LinkStateStreams((tunnel) => ports.touch(tunnel));
    this.gossip = new SnapshotGossip(nodePorts.gossip);
    this.#gossipStreams = new GossipStreams({
      counters: ports.counters,
      touch: (tunnel) => ports.touch(tunnel),
      handleMessage: (peer, message) => this.gossip.handleMessage(peer, message, ports.nowMs()),
    });
  }

  get count(): number {
    return this.#links.size;
  }

  /** The link to a neighbour that is up and not draining. */
  link(peer: string): Tunnel | undefined {
    return this.#links.get(peer);
  }

  handleSnapshot(body: SnapshotBody, nowMs: number): void {
    this.membership.handleMembers(body.nodes, nowMs);
  }

  /** A link came up; the caller ends the one that loses. */
  handleUp(tunnel: Tunnel, nowMs: number, wallMs: number): LinkDecision {
    const decision = this.#links.handleUp(tunnel);
    if (decision.kind === 'lose') return decision;
    const peer = tunnel.peer.name;
    this.membership.handleLinkUp(peer, nowMs);
    this.gossip.handleLinkUp(peer, nowMs);
    // The side that accepted has its link-state stream only when the dialler's OPEN arrives.
    if (tunnel.role === 'dialer') {
      this.#streams.open(tunnel);
      this.linkState.handleLinkUp(peer, nowMs, wallMs);
    }
    return decision;
  }

  /** Takes a stream of a link on which nodes speak to each other; false for any other, and for a second one. */
  handleOpened(tunnel: Tunnel, stream: Stream, nowMs: number, wallMs: number): boolean {
    if (tunnel.via !== 'tcp') return false;
    if (stream.kind === StreamKind.snapshot) return this.#gossipStreams.accept(tunnel, stream);
    if (stream.kind !== StreamKind.linkstate || tunnel.linkstate !== undefined) return false;
    this.#streams.accept(tunnel, stream);
    this.linkState.handleLinkUp(tunnel.peer.name, nowMs, wallMs);
    return true;
  }

  handleBelieved(snapshot: SignedSnapshot | undefined, from: string, nowMs: number): void {
    if (snapshot === undefined) this.gossip.handleRefused(from, nowMs);
    else this.gossip.handleCurrent(snapshot, nowMs);
  }

  handleGossipBytes(tunnel: Tunnel, stream: Stream, owner: GossipOwner, bytes: Uint8Array): void {
    this.#gossipStreams.handleBytes(tunnel, stream, owner, bytes);
  }

  handleGossipEnded(tunnel: Tunnel, stream: Stream): void {
    this.#gossipStreams.handleEnded(tunnel, stream);
  }

  /** Streams of a tunnel that belong to no application. */
  ownStreamCount(tunnel: Tunnel): number {
    return (tunnel.linkstate === undefined ? 0 : 1) + this.#gossipStreams.count(tunnel);
  }

  /** Bytes of a link-state stream. False when they are not our protocol. */
  handleBytes(tunnel: Tunnel, owner: LinkStateOwner, bytes: Uint8Array, nowMs: number, wallMs: number): boolean {
    return owner.reader.handleBytes(bytes, (message) =>
      this.linkState.handleMessage(tunnel.peer.name, message, nowMs, wallMs),
    );
  }

  /** The link drains: what nodes say to each other ends before it does. */
  closeStreams(tunnel: Tunnel): void {
    this.#streams.close(tunnel);
    this.#gossipStreams.close(tunnel);
  }

  /** True when it was the present link of its peer. */
  handleGone(tunnel: Tunnel, nowMs: number, wallMs: number): boolean {
    this.#gossipStreams.forget(tunnel);
    if (!this.#links.remove(tunnel)) return false;
    const peer = tunnel.peer.name;
    this.#probedMs.delete(peer);
    this.gossip.handleLinkDown(peer, nowMs);
    this.linkState.handleLinkDown(peer, nowMs, wallMs);
    this.membership.handleLinkDown(peer, nowMs);
    return true;
  }

  /** What the link's own PING says: probes say it better, where there are any. */
  handlePong(peer: string, rttMs: number, nowMs: number, wallMs: number): void {
    const probedMs = this.#probedMs.get(peer);
    if (probedMs !== undefined && nowMs - probedMs < PROBED_MS) return;
    this.#measure(peer, rttMs, 0, nowMs, wallMs);
  }

  /** What the detector's probes say. */
  handleMeasured(peer: string, measurement: LinkMeasurement, nowMs: number, wallMs: number): void {
    if (this.#links.get(peer) === undefined) return;
    this.#probedMs.set(peer, nowMs);
    this.#measure(peer, measurement.rttMs, measurement.lossRatio, nowMs, wallMs);
  }

  #measure(peer: string, rttMs: number, lossRatio: number, nowMs: number, wallMs: number): void {
    this.linkState.handleLinkCost(peer, rttMs * (1 + LOSS_ROUND_TRIPS * lossRatio), nowMs, wallMs);
    this.membership.handleDistance(peer, rttMs);
  }

  /** Carries out what link state and plan decided. */
  settle(nowMs: number): void {
    for (let output = this.linkState.poll(); output !== undefined; output = this.linkState.poll()) {
      if (output.kind === 'alarm') this.#ports.emit(output);
      else if (output.kind === 'send') this.#send(output.peer, output.message, nowMs);
    }
    for (let output = this.membership.poll(); output !== undefined; output = this.membership.poll()) {
      if (output.kind === 'dial') this.#ports.emit(output);
      else this.#close(output.peer);
    }
    for (let output = this.gossip.poll(); output !== undefined; output = this.gossip.poll()) {
      if (output.kind === 'offer') this.#ports.emit({ ...output, kind: 'snapshot-offered' });
      else this.#gossip(output.peer, output.message, nowMs);
    }
  }

  #gossip(peer: string, message: Uint8Array, nowMs: number): void {
    const link = this.#links.get(peer);
    if (link !== undefined) this.#gossipStreams.send(link, message, nowMs);
  }

  #send(peer: string, message: Uint8Array, nowMs: number): void {
    const link = this.#links.get(peer);
    if (link === undefined) return;
    if (!this.#streams.send(link, message, nowMs)) this.linkState.handleWritable(peer, false);
  }

  #close(peer: string): void {
    this.#ports.emit({ kind: 'cancel-dial', peer });
    const link = this.#links.get(peer);
    if (link !== undefined) this.#ports.drain(link, 'LINK_NOT_PLANNED');
  }
}
