import type { Writable } from 'node:stream';
import { present } from '#kernel/assert.ts';
import { plainText } from '#kernel/plain-text.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { CodedError } from '#control/coded-error.ts';
import type { PresenceBoard } from '#control/presence.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';
import { REPLACED_LINE, snapshotLine } from '#io/control-https/session-lines.ts';

/** What a node can be asked. */
export type NodeOperation =
  | 'why'
  | 'dry-run'
  | 'peers'
  | 'path'
  | 'streams'
  | 'ping'
  | 'check-target'
  | 'check-listen'
  | 'drain'
  | 'undrain';

export interface HubPorts {
  readonly board: PresenceBoard;
  readonly current: () => PublishedSnapshot | undefined;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

/** A node that answers at all answers in this time. */
const ANSWER_LIMIT_MS = 5_000;
/** Questions that wait for an answer, over all nodes. */
const PENDING_LIMIT = 1_024;
/** A refusal is one line for a person. */
const MESSAGE_LIMIT_CHARS = 512;
const BEAT_MS = 5_000;
/** Beats in a row that found unread bytes before the session counts as dead. */
const STUCK_BEATS_LIMIT = 3;
const TIMER_LIMIT_MS = 2 ** 31 - 1;
/** A node that reads at all reads its last line in this time. */
const FAREWELL_MS = 2_000;

interface Session {
  readonly id: number;
  readonly identity: PeerIdentity;
  readonly stream: Writable;
  /** Hex of the body hash that the node was sent last. */
  sentBody: string;
  stuckBeats: number;
  stale: boolean;
}

interface Pending {
  readonly node: string;
  readonly settle: (answer: unknown, error: CodedError | undefined) => void;
}

/** The nodes' open sessions: one a name, the newest wins. Pushes snapshots, keeps the beat, carries questions. */
export class NodeHub {
  readonly #ports: HubPorts;
  readonly #sessions = new Map<string, Session>();
  readonly #pending = new Map<string, Pending>();
  readonly #beat: NodeJS.Timeout;
  #lastId = 0;

  constructor(ports: HubPorts) {
    this.#ports = ports;
    this.#beat = setInterval(() => this.#handleBeat(), BEAT_MS);
    this.#beat.unref();
  }

  /** Starts a session on `stream`, which the hub ends when the SVID does, and sends the current snapshot. */
  open(identity: PeerIdentity, stream: Writable): void {
    const session: Session = { id: ++this.#lastId, identity, stream, sentBody: '', stuckBeats: 0, stale: false };
    const replaced = this.#sessions.get(identity.name);
    this.#sessions.set(identity.name, session);
    this.#ports.board.handleOpen(identity.name, session.id, this.#ports.nowMs());
    if (replaced !== undefined) endReplaced(replaced.stream);
    const lifeMs = Math.min(Math.max(0, identity.notAfterMs - this.#ports.wallMs()), TIMER_LIMIT_MS);
    const end = setTimeout(() => stream.destroy(), lifeMs);
    end.unref();
    stream.on('error', () => stream.destroy());
    stream.on('drain', () => this.#handleDrain(session));
    stream.once('close', () => {
      clearTimeout(end);
      this.#handleClose(session);
    });
    this.#send(session);
  }

  /** Sends the current snapshot to everyone. */
  publish(): void {
    for (const session of this.#sessions.values()) this.#send(session);
  }

  /** Ends the sessions whose identity no longer counts. */
  dropWhere(isRefused: (identity: PeerIdentity) => boolean): void {
    for (const session of this.#sessions.values()) if (isRefused(session.identity)) session.stream.destroy();
  }

  /** Asks a node over its session. Throws NODE_DOWN, NODE_BUSY, NODE_TIMEOUT or the node's own code. */
  async ask(node: string, op: NodeOperation, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const session = this.#sessions.get(node);
    if (session === undefined) throw new CodedError('NODE_DOWN', `${node} is not connected to the control plane`);
    if (this.#pending.size >= PENDING_LIMIT || session.stream.writableNeedDrain) {
      throw new CodedError('NODE_BUSY', `${node} has too many questions waiting`);
    }
    const id = `q${++this.#lastId}`;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#settle(id, undefined, new CodedError('NODE_TIMEOUT', `${node} did not answer in ${ANSWER_LIMIT_MS} ms`));
    }, ANSWER_LIMIT_MS);
    const settle = (answer: unknown, error: CodedError | undefined): void => {
      clearTimeout(timer);
      if (error === undefined) resolve(answer);
      else reject(error);
    };
    this.#pending.set(id, { node, settle });
    session.stream.write(`${JSON.stringify({ type: 'request', id, op, args })}\n`);
    return promise;
  }

  /**
   * Takes a node's answer; one that answers for another node, or too late, changes nothing. Its words may end on a terminal,
   * so they are made plain.
   */
  handleReply(node: string, id: string, answer: unknown, error: { code: string; message: string } | undefined): void {
    if (this.#pending.get(id)?.node !== node) return;
    const refusal = error && new CodedError(error.code, plainText(error.message.slice(0, MESSAGE_LIMIT_CHARS)));
    this.#settle(id, answer, refusal);
  }

  close(): void {
    clearInterval(this.#beat);
    for (const session of this.#sessions.values()) session.stream.destroy();
    for (const [id, { node }] of this.#pending)
      this.#settle(id, undefined, new CodedError('NODE_DOWN', `${node} is gone`));
  }

  #settle(id: string, answer: unknown, error: CodedError | undefined): void {
    const pending = present(this.#pending.get(id), 'a question is settled once');
    this.#pending.delete(id);
    pending.settle(answer, error);
  }

  #send(session: Session): void {
    const snapshot = this.#ports.current();
    if (snapshot === undefined || session.stream.destroyed) return;
    if (session.stream.writableNeedDrain) {
      session.stale = true;
      return;
    }
    const body = snapshot.header.bodyHash.toHex();
    session.stream.write(snapshotLine(snapshot, body !== session.sentBody));
    session.sentBody = body;
  }

  #handleDrain(session: Session): void {
    if (!session.stale) return;
    session.stale = false;
    this.#send(session);
  }

  #handleClose(session: Session): void {
    const { name } = session.identity;
    this.#ports.board.handleClose(name, session.id);
    if (this.#sessions.get(name) !== session) return;
    this.#sessions.delete(name);
    for (const [id, pending] of this.#pending) {
      if (pending.node === name) this.#settle(id, undefined, new CodedError('NODE_DOWN', `${name} went away`));
    }
  }

  #handleBeat(): void {
    for (const session of this.#sessions.values()) {
      session.stuckBeats = session.stream.writableLength > 0 ? session.stuckBeats + 1 : 0;
      if (session.stuckBeats >= STUCK_BEATS_LIMIT) session.stream.destroy();
      else if (session.stuckBeats === 0) session.stream.write('{"type":"beat"}\n');
    }
  }
}

/** A process that still reads learns that another one has its identity; one that connected anew itself reads no more. */
function endReplaced(stream: Writable): void {
  stream.end(REPLACED_LINE);
  setTimeout(() => stream.destroy(), FAREWELL_MS).unref();
}
