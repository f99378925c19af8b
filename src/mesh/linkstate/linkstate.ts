import { Counters } from '#kernel/counters.ts';
import type { LinkStateOptions, LinkStateOutput, LinkStatePorts, RecordSummary } from '#mesh/linkstate/ports.ts';
import { Graph } from '#topology/graph.ts';
import type { PathPair } from '#topology/paths.ts';

/** The link-state machine of one node. */
export class LinkState {
  readonly counters = new Counters();
  constructor(_ports: LinkStatePorts, _options: LinkStateOptions, _nowMs: number, _wallMs: number) {}
  /** A link to `peer` is up (tunnel established, HELLO exchanged). `rttMs` is the first measurement where there is one. */
  handleLinkUp(_peer: string, _nowMs: number, _wallMs: number, _rttMs?: number): void {}
  handleLinkDown(_peer: string, _nowMs: number, _wallMs: number): void {}
  handleLinkCost(_peer: string, _rttMs: number, _nowMs: number, _wallMs: number): void {}
  /** One message of the linkstate stream, at most MAX_MESSAGE_BYTES; the machine copies what it keeps. */
  handleMessage(_peer: string, _message: Uint8Array, _nowMs: number, _wallMs: number): void {}
  /** While not writable nothing is sent to `peer`; what is due collapses to the newest. Writable at first. */
  handleWritable(_peer: string, _writable: boolean): void {}
  /** `issuersChanged` false: only revocations or the own certificate changed, so that no chain is verified again. */
  handleTrustChanged(_nowMs: number, _wallMs: number, _issuersChanged = true): void {}
  setLocal(_local: { readonly relay: boolean; readonly draining: boolean }, _nowMs: number, _wallMs: number): void {}
  handleDeadline(_nowMs: number, _wallMs: number): void {}
  deadlineMs(): number | undefined {
    return undefined;
  }
  poll(): LinkStateOutput | undefined {
    return undefined;
  }
  graph(): Graph {
    return new Graph();
  }
  path(_to: string): PathPair {
    return { protected: false };
  }
  pathBetween(_from: string, _to: string): PathPair {
    return { protected: false };
  }
  records(): readonly RecordSummary[] {
    return [];
  }
}
