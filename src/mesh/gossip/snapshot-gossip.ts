import { TokenBucket } from '#kernel/bounded.ts';
import { bytesEqual } from '#kernel/bytes.ts';
import { EventQueue } from '#kernel/event-queue.ts';
import { decodeGossip, encodeGossip, PART_BYTES, type GossipMessage } from '#mesh/gossip/gossip-message.ts';
import { isNewerSnapshot, type SignedSnapshot } from '#trust/signed-snapshot.ts';
import { SNAPSHOT_LIMIT_BYTES, type SnapshotHeader } from '#trust/snapshot.ts';

/*
 * What the control plane says reaches a node also through its neighbours, for as long as the control plane does not reach it.
 *
 * Life: a snapshot that this node believes is announced to every neighbour by its header. Of what neighbours announce, the newer is
 * pulled, one pull at a time: the signer's certificate if it is not known, then, only when the signature holds, the body part by
 * part unless it is known, and then it is offered to whoever believes. A neighbour whose pull came to nothing is last in turn.
 */

/** A pull from a neighbour that does not answer goes to another. */
const ANSWER_LIMIT_MS = 2_000;
/** And so does one that answers, but never comes to an end: eight MiB at two Mbit/s. */
const PULL_LIMIT_MS = 34_000;
/** What a neighbour that announces nonsense can ask for: one signature to be checked a second. */
const DOUBT_MS = 1_000;
/** What a neighbour may ask for: the largest body at once, and nine MiB each second. */
const PARTS_BURST = Math.ceil(SNAPSHOT_LIMIT_BYTES / PART_BYTES);
const PARTS_PER_SECOND = 200;

export type GossipOutput =
  | { readonly kind: 'send'; readonly peer: string; readonly message: Uint8Array }
  /** Answer by `handleCurrent`, or by `handleRefused`. */
  | { readonly kind: 'offer'; readonly peer: string; readonly offer: OfferedSnapshot };

export interface OfferedSnapshot extends Omit<SignedSnapshot, 'body'> {
  /** Undefined: the body of the one before, signed anew. */
  readonly body: Uint8Array | undefined;
}

export interface GossipPorts {
  /** Whether the header was signed by a control plane of this mesh, as {@link SnapshotHeader} says. */
  isSigned(header: SnapshotHeader, signer: Uint8Array): boolean;
}

interface Neighbour {
  said: SnapshotHeader | undefined;
  /** What it said came to nothing; undefined until then. */
  failedMs: number | undefined;
  readonly parts: TokenBucket;
}

interface Pull {
  readonly peer: string;
  readonly header: SnapshotHeader;
  readonly endMs: number;
  answerMs: number;
  signer: Uint8Array | undefined;
  body: Uint8Array | undefined;
  receivedBytes: number;
}

export class SnapshotGossip {
  readonly #ports: GossipPorts;
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #outputs = new EventQueue<GossipOutput>();
  #current: SignedSnapshot | undefined;
  #pull: Pull | undefined;

  constructor(ports: GossipPorts) {
    this.#ports = ports;
  }

  /** A snapshot that is believed now, from wherever it came. */
  handleCurrent(snapshot: SignedSnapshot, nowMs: number): void {
    if (!isNewerSnapshot(snapshot.header, this.#current?.header)) return;
    this.#current = snapshot;
    for (const [peer, { said }] of this.#neighbours) {
      if (isNewerSnapshot(snapshot.header, said)) this.#announce(peer);
    }
    if (this.#pull !== undefined && !this.#isNews(this.#pull.header)) this.#pull = undefined;
    this.#pullNext(nowMs);
  }

  /** What was offered is not believed. */
  handleRefused(peer: string, nowMs: number): void {
    this.#doubt(peer, nowMs);
    this.#pullNext(nowMs);
  }

  handleLinkUp(peer: string, nowMs: number): void {
    const parts = new TokenBucket(PARTS_BURST, PARTS_PER_SECOND, nowMs);
    this.#neighbours.set(peer, { said: undefined, failedMs: undefined, parts });
    this.#announce(peer);
  }

  handleLinkDown(peer: string, nowMs: number): void {
    this.#neighbours.delete(peer);
    if (this.#pull?.peer !== peer) return;
    this.#pull = undefined;
    this.#pullNext(nowMs);
  }

  /** False for what is malformed. */
  handleMessage(peer: string, bytes: Uint8Array, nowMs: number): boolean {
    const message = decodeGossip(bytes);
    if (message === undefined) return false;
    const neighbour = this.#neighbours.get(peer);
    if (neighbour !== undefined) this.#handle(peer, neighbour, message, nowMs);
    return true;
  }

  /** Asked a few times a second. */
  handleDeadline(nowMs: number): void {
    const pull = this.#pull;
    if (pull !== undefined && (pull.answerMs <= nowMs || pull.endMs <= nowMs)) this.#fail(pull, nowMs);
    else this.#pullNext(nowMs);
  }

  poll(): GossipOutput | undefined {
    return this.#outputs.poll();
  }

  #handle(peer: string, neighbour: Neighbour, message: GossipMessage, nowMs: number): void {
    switch (message.kind) {
      case 'have':
        neighbour.said = message.header;
        return this.#pullNext(nowMs);
      case 'want-signer':
        return this.#giveSigner(peer, message.hash);
      case 'want-body':
        return neighbour.parts.take(nowMs) ? this.#givePart(peer, message.hash, message.offset) : undefined;
      case 'signer':
        return this.#takeSigner(peer, message.der, nowMs);
      case 'body':
        return this.#takePart(peer, message, nowMs);
      case 'unknown':
    }
  }

  #announce(peer: string): void {
    if (this.#current !== undefined) this.#send(peer, { kind: 'have', header: this.#current.header });
  }

  #giveSigner(peer: string, hash: Uint8Array): void {
    const current = this.#current;
    if (current !== undefined && bytesEqual(current.header.signerHash, hash))
      this.#send(peer, { kind: 'signer', der: current.signer });
  }

  #givePart(peer: string, hash: Uint8Array, offset: number): void {
    const current = this.#current;
    if (current === undefined || !bytesEqual(current.header.bodyHash, hash)) return;
    const bytes = current.body.subarray(offset, offset + PART_BYTES);
    this.#send(peer, { kind: 'body', hash, offset, totalBytes: current.body.byteLength, bytes });
  }

  /** Begins a pull of something newer, if there is none: from who failed longest ago, or never. */
  #pullNext(nowMs: number): void {
    if (this.#pull !== undefined) return;
    const due = [...this.#neighbours]
      .filter(([, { said, failedMs }]) => said !== undefined && this.#isNews(said) && isDue(failedMs, nowMs))
      .toSorted(([, a], [, b]) => (a.failedMs ?? 0) - (b.failedMs ?? 0));
    const [peer, header] = [due[0]?.[0], due[0]?.[1].said];
    if (peer === undefined || header === undefined) return;
    const pull: Pull = {
      peer,
      header,
      endMs: nowMs + PULL_LIMIT_MS,
      answerMs: nowMs + ANSWER_LIMIT_MS,
      signer: undefined,
      body: undefined,
      receivedBytes: 0,
    };
    this.#pull = pull;
    const current = this.#current;
    if (current !== undefined && bytesEqual(current.header.signerHash, header.signerHash))
      this.#judge(pull, current.signer, nowMs);
    else this.#send(peer, { kind: 'want-signer', hash: header.signerHash });
  }

  #takeSigner(peer: string, der: Uint8Array, nowMs: number): void {
    const pull = this.#pull;
    if (pull?.peer === peer && pull.signer === undefined) this.#judge(pull, der, nowMs);
  }

  #judge(pull: Pull, signer: Uint8Array, nowMs: number): void {
    if (!this.#ports.isSigned(pull.header, signer)) {
      this.#pull = undefined;
      return this.handleRefused(pull.peer, nowMs);
    }
    pull.signer = signer;
    const current = this.#current;
    if (current !== undefined && bytesEqual(current.header.bodyHash, pull.header.bodyHash)) this.#offer(pull, signer);
    else this.#askPart(pull, nowMs);
  }

  #askPart(pull: Pull, nowMs: number): void {
    pull.answerMs = nowMs + ANSWER_LIMIT_MS;
    this.#send(pull.peer, { kind: 'want-body', hash: pull.header.bodyHash, offset: pull.receivedBytes });
  }

  #takePart(peer: string, part: Extract<GossipMessage, { kind: 'body' }>, nowMs: number): void {
    const pull = this.#pull;
    if (pull?.peer !== peer || pull.signer === undefined || !bytesEqual(part.hash, pull.header.bodyHash)) return;
    if (part.offset !== pull.receivedBytes) return;
    const { offset, bytes } = part;
    pull.body ??= new Uint8Array(part.totalBytes);
    const isWhole = offset + bytes.byteLength === pull.body.byteLength;
    const isFitting = part.totalBytes === pull.body.byteLength && (isWhole || bytes.byteLength === PART_BYTES);
    if (!isFitting || offset + bytes.byteLength > pull.body.byteLength) return this.#fail(pull, nowMs);
    pull.body.set(bytes, offset);
    pull.receivedBytes += bytes.byteLength;
    if (isWhole) this.#offer(pull, pull.signer);
    else this.#askPart(pull, nowMs);
  }

  #offer({ peer, header, body }: Pull, signer: Uint8Array): void {
    this.#pull = undefined;
    this.#outputs.push({ kind: 'offer', peer, offer: { header, body, signer } });
  }

  #fail(pull: Pull, nowMs: number): void {
    this.#pull = undefined;
    const neighbour = this.#neighbours.get(pull.peer);
    if (neighbour !== undefined) neighbour.failedMs = nowMs;
    this.#pullNext(nowMs);
  }

  /** What it said is not asked for again; it may say something else, a while later. */
  #doubt(peer: string, nowMs: number): void {
    const neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined) return;
    neighbour.said = undefined;
    neighbour.failedMs = nowMs;
  }

  #isNews(header: SnapshotHeader): boolean {
    return isNewerSnapshot(header, this.#current?.header);
  }

  #send(peer: string, message: Exclude<GossipMessage, { kind: 'unknown' }>): void {
    this.#outputs.push({ kind: 'send', peer, message: encodeGossip(message) });
  }
}

function isDue(failedMs: number | undefined, nowMs: number): boolean {
  return failedMs === undefined || failedMs + DOUBT_MS <= nowMs;
}
