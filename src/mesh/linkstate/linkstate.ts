import { Counters } from '#kernel/counters.ts';
import { bytesEqual } from '#kernel/bytes.ts';
import { sameTopology, type RecordBody } from '#mesh/linkstate/body.ts';
import { LinkCost } from '#mesh/linkstate/cost.ts';
import { graphOf } from '#mesh/linkstate/graph-of.ts';
import { RecordIntake, type Candidate, type Verdict } from '#mesh/linkstate/intake.ts';
import { FORGERY_TOKENS, MAX_ALARMS, MAX_CACHED_PATHS, MAX_NEIGHBOURS, TICK_MS } from '#mesh/linkstate/limits.ts';
import { encodeMessage, parseMessage, type DigestEntry, type Message } from '#mesh/linkstate/messages.ts';
import { Neighbour } from '#mesh/linkstate/neighbour.ts';
import { OwnRecord } from '#mesh/linkstate/own-record.ts';
import { PendingRecords } from '#mesh/linkstate/pending.ts';
import type {
  AlarmCode,
  LinkStateOptions,
  LinkStateOutput,
  LinkStatePorts,
  RecordSummary,
} from '#mesh/linkstate/ports.ts';
import { compareVersions } from '#mesh/linkstate/record.ts';
import { isExpired, RecordStore } from '#mesh/linkstate/store.ts';
import type { Graph } from '#topology/graph.ts';
import { disjointPair, type PathPair } from '#topology/paths.ts';

/**
 * The link-state machine of one node: it keeps the newest verified record of every node, tells its neighbours what
 * changes, and answers with a graph and paths.
 *
 * Life: a link comes up, both sides send a summary; where the summaries differ each sends its digest and requests what
 * the other has newer. A record is judged (intake.ts), waits for its certificate if that is unknown, is stored and due to
 * every other neighbour. Its own record is made anew when its links change, when it grows old, when its certificate changes,
 * and when somebody shows a newer one of its name. Summaries are repeated, which heals whatever a limit has dropped.
 */
export class LinkState {
  readonly counters = new Counters();
  readonly #ports: LinkStatePorts;
  readonly #self: string;
  readonly #store = new RecordStore();
  readonly #pending = new PendingRecords();
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #intake: RecordIntake;
  readonly #own: OwnRecord;
  readonly #alarms: LinkStateOutput[] = [];
  readonly #paths = new Map<string, PathPair>();
  #graph: Graph | undefined;
  #changed = false;
  #relay: boolean;
  #draining: boolean;
  #ownCertificateHash: Uint8Array;
  #summary: { readonly input: Uint8Array; readonly hash: string } | undefined;
  /** Neighbours that poll() has still to visit; undefined after anything happened. */
  #turns: (readonly [string, Neighbour])[] | undefined;
  #nextTickMs: number;
  #nowMs: number;
  #wallMs: number;

  constructor(ports: LinkStatePorts, options: LinkStateOptions, nowMs: number, wallMs: number) {
    this.#ports = ports;
    this.#self = options.origin;
    this.#relay = options.relay;
    this.#draining = options.draining ?? false;
    this.#ownCertificateHash = ports.ownCertificate().hash;
    this.#intake = new RecordIntake(ports, options.origin, this.#store, this.counters, nowMs);
    this.#own = new OwnRecord(ports, options, (code, detail) => this.#raiseAlarm(code, detail), nowMs);
    this.#nextTickMs = nowMs + TICK_MS;
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
  }

  /** A link to `peer` is up, or was replaced by another. `rttMs` is the first measurement where there is one. */
  handleLinkUp(peer: string, nowMs: number, wallMs: number, rttMs?: number): void {
    this.#advance(nowMs, wallMs);
    if (peer === this.#self) return this.counters.add('link-to-self');
    const known = this.#neighbours.get(peer)?.cost;
    if (rttMs !== undefined) known?.handleRtt(rttMs);
    this.#forgetNeighbour(peer);
    this.#neighbours.set(peer, new Neighbour(known ?? new LinkCost(rttMs), nowMs));
    this.#localChange();
  }

  handleLinkDown(peer: string, nowMs: number, wallMs: number): void {
    this.#advance(nowMs, wallMs);
    if (!this.#neighbours.has(peer)) return;
    this.#forgetNeighbour(peer);
    this.#localChange();
  }

  /** A measurement of the link's round trip; most of them change nothing (cost.ts). */
  handleLinkCost(peer: string, rttMs: number, nowMs: number, wallMs: number): void {
    this.#advance(nowMs, wallMs);
    if (this.#neighbours.get(peer)?.cost.handleRtt(rttMs) === true) this.#localChange();
  }

  /** One message of the linkstate stream, at most MAX_MESSAGE_BYTES; what is kept is copied. */
  handleMessage(peer: string, message: Uint8Array, nowMs: number, wallMs: number): void {
    this.#advance(nowMs, wallMs);
    const neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined) return this.counters.add('message-from-stranger');
    if (!neighbour.charge(nowMs)) return this.counters.add('message-neighbour-rate');
    const parsed = parseMessage(message);
    if (parsed.ok) this.#handleParsed(peer, neighbour, parsed.value);
    else this.counters.add(parsed.error);
  }

  /** While not writable nothing is sent to `peer`; what is due collapses to the newest. Writable at first. */
  handleWritable(peer: string, writable: boolean): void {
    const neighbour = this.#neighbours.get(peer);
    if (neighbour !== undefined) neighbour.writable = writable;
    this.#turns = undefined;
  }

  /** `issuersChanged` false: only revocations or the own certificate changed, so that no chain is verified again. */
  handleTrustChanged(nowMs: number, wallMs: number, issuersChanged = true): void {
    this.#advance(nowMs, wallMs);
    this.#intake.forgetRefused();
    for (const { envelope, certificate } of this.#store.all()) {
      if (envelope.origin === this.#self) continue;
      if (this.#ports.isRevoked(envelope.origin, certificate.hash)) this.#drop(envelope.origin, 'record-revoked');
      else if (issuersChanged && this.#intake.judgeCertificate(certificate.der, certificate.hash) === undefined) {
        this.#drop(envelope.origin, 'record-certificate-refused');
      }
    }
    const { hash } = this.#ports.ownCertificate();
    if (!bytesEqual(hash, this.#ownCertificateHash)) this.#own.handleChange(nowMs);
    this.#ownCertificateHash = hash;
    for (const neighbour of this.#neighbours.values()) neighbour.summaryDue(nowMs);
  }

  setLocal(local: { readonly relay: boolean; readonly draining: boolean }, nowMs: number, wallMs: number): void {
    this.#advance(nowMs, wallMs);
    if (local.relay === this.#relay && local.draining === this.#draining) return;
    this.#relay = local.relay;
    this.#draining = local.draining;
    this.#localChange();
  }

  handleDeadline(nowMs: number, wallMs: number): void {
    this.#advance(nowMs, wallMs);
    if (nowMs < this.#nextTickMs) return;
    this.#nextTickMs = nowMs + TICK_MS;
    this.#intake.handleTick(nowMs);
    this.#giveUpPending();
    for (const neighbour of this.#neighbours.values()) neighbour.handleTick(nowMs);
    for (const record of this.#store.all()) {
      if (record.envelope.origin !== this.#self && isExpired(record, wallMs))
        this.#drop(record.envelope.origin, 'record-expired');
    }
  }

  /** Monotonic milliseconds; summaries, expiry and time-outs ride on one tick. */
  deadlineMs(): number {
    return Math.min(this.#nextTickMs, this.#own.dueMs);
  }

  poll(): LinkStateOutput | undefined {
    if (this.#own.takeDue(this.#nowMs)) {
      this.#originate();
      this.#turns = undefined;
    }
    const alarm = this.#alarms.shift();
    if (alarm !== undefined) return alarm;
    if (this.#changed) {
      this.#changed = false;
      return { kind: 'changed' };
    }
    return this.#pollNeighbours();
  }

  /** All nodes with a record, and the links that both their ends report, at the worse cost. */
  graph(): Graph {
    this.#graph ??= graphOf(this.#self, this.#localBody(), this.#store);
    return this.#graph;
  }

  path(to: string): PathPair {
    return this.pathBetween(this.#self, to);
  }

  /** As that node would choose with this node's knowledge. Remembered until the graph changes. */
  pathBetween(from: string, to: string): PathPair {
    const key = `${from} ${to}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const pair = disjointPair(this.graph(), from, to);
    if (this.#paths.size >= MAX_CACHED_PATHS) this.#paths.clear();
    this.#paths.set(key, pair);
    return pair;
  }

  records(): readonly RecordSummary[] {
    return [...this.#store.all()].map(({ envelope, body, certificate }) => ({
      origin: envelope.origin,
      incarnation: envelope.incarnation,
      sequence: envelope.sequence,
      certificateHash: envelope.certificateHash,
      issuedAtMs: body.issuedAtMs,
      notAfterMs: certificate.notAfterMs,
      relay: body.relay,
      draining: body.draining,
      neighbours: [...body.neighbours].map(([name, cost]) => ({ name, cost })),
    }));
  }

  /** Goes round once: what is polled makes nothing due to a neighbour that had its turn. */
  #pollNeighbours(): LinkStateOutput | undefined {
    this.#turns ??= [...this.#neighbours];
    for (let turn = this.#turns.at(-1); turn !== undefined; turn = this.#turns.at(-1)) {
      const [peer, neighbour] = turn;
      const message = neighbour.next(this.#store, () => this.#summaryHash(), this.#nowMs);
      if (message !== undefined) {
        this.counters.add(`sent-${message.kind}`);
        return { kind: 'send', peer, message: encodeMessage(message) };
      }
      this.#turns.pop();
    }
    this.#turns = undefined;
    return undefined;
  }

  #handleParsed(peer: string, neighbour: Neighbour, message: Message): void {
    switch (message.kind) {
      case 'summary':
        if (message.hash !== this.#summaryHash()) neighbour.digestDue();
        return;
      case 'digest':
        for (const entry of message.entries) this.#handleDigestEntry(neighbour, entry);
        return;
      case 'request':
        for (const origin of message.origins) if (this.#store.get(origin) !== undefined) neighbour.recordDue(origin);
        return;
      case 'record':
        return this.#settle(peer, this.#intake.judge(message.record, this.#nowMs, this.#wallMs));
      case 'certificate-request':
        for (const hash of message.hashes) {
          if (this.#store.certificate(hash) === undefined) this.counters.add('certificate-request-unknown');
          else if (!neighbour.certificateDue(hash)) this.counters.add('certificate-request-limit');
        }
        return;
      case 'certificate':
        return this.#handleCertificate(peer, message.der);
    }
  }

  #handleDigestEntry(neighbour: Neighbour, entry: DigestEntry): void {
    const stored = this.#store.get(entry.origin);
    if (stored === undefined) return neighbour.wantRecord(entry.origin);
    const order = compareVersions(entry, stored.envelope);
    const differs =
      order === 0 && entry.hash !== stored.hash && (entry.hash > stored.hash || entry.origin === this.#self);
    if (order > 0 || differs) neighbour.wantRecord(entry.origin);
  }

  #handleCertificate(peer: string, der: Uint8Array): void {
    const hash = this.#ports.hash(der).toHex();
    if (!this.#pending.awaits(peer, hash)) {
      return this.counters.add(
        this.#store.certificate(hash) === undefined ? 'certificate-unasked' : 'certificate-duplicate',
      );
    }
    const certificate = this.#intake.judgeCertificate(der, hash);
    for (const record of this.#pending.takeByCertificate(hash)) {
      const { origin } = record.envelope;
      const refused: Verdict = { kind: 'refused', code: 'record-certificate-refused', origin };
      const verdict = certificate && this.#intake.judgeWith(record, certificate, this.#nowMs, this.#wallMs);
      this.#settle(record.peer, verdict ?? refused);
    }
  }

  #settle(peer: string, verdict: Verdict): void {
    const neighbour = this.#neighbours.get(peer);
    if (verdict.kind === 'unknown-certificate') return this.#await(peer, verdict.candidate);
    if (verdict.origin !== undefined) neighbour?.settle(verdict.origin);
    switch (verdict.kind) {
      case 'refused':
        this.counters.add(verdict.code);
        if (verdict.code === 'record-bad-signature') neighbour?.charge(this.#nowMs, FORGERY_TOKENS);
        return;
      case 'duplicate':
        this.counters.add('record-duplicate');
        return neighbour?.recordNotDue(verdict.origin);
      case 'stale':
        this.counters.add('record-stale');
        return neighbour?.recordDue(verdict.origin);
      case 'accepted':
        this.counters.add('record-accepted');
        if (verdict.changed) this.#graphChanged();
        return this.#flood(verdict.origin, peer);
      case 'own':
        this.counters.add('record-own-contested');
        this.#own.handleContest(verdict.version, this.#nowMs);
    }
  }

  #await(peer: string, candidate: Candidate): void {
    const neighbour = this.#neighbours.get(peer);
    const { origin, certificateHash } = candidate.envelope;
    if (this.#pending.hasEnough(candidate.hash)) {
      neighbour?.settle(origin);
      return this.counters.add('record-pending-elsewhere');
    }
    if (this.#pending.add({ peer, ...candidate }, this.#nowMs)) return neighbour?.askCertificate(certificateHash);
    this.counters.add('record-pending-full');
    neighbour?.settle(origin);
    neighbour?.wantRecord(origin);
  }

  /** Another neighbour may have both the record and its certificate. */
  #giveUpPending(): void {
    const expired = this.#pending.takeExpired(this.#nowMs);
    for (const record of expired) {
      this.counters.add('record-certificate-missing');
      this.#neighbours.get(record.peer)?.settle(record.envelope.origin);
    }
    if (expired.length > 0) for (const neighbour of this.#neighbours.values()) neighbour.summaryDue(this.#nowMs);
  }

  #flood(origin: string, from: string | undefined): void {
    for (const [peer, neighbour] of this.#neighbours) {
      if (peer === from) neighbour.recordNotDue(origin);
      else neighbour.recordDue(origin);
    }
  }

  #originate(): void {
    const body = this.#localBody();
    const before = this.#store.get(this.#self)?.body;
    this.#store.put(this.#own.originate(body, this.#nowMs));
    this.counters.add('record-originated');
    if (before === undefined || !sameTopology(before, body)) this.#graphChanged();
    this.#flood(this.#self, undefined);
  }

  #localBody(): RecordBody {
    const links = [...this.#neighbours].slice(0, MAX_NEIGHBOURS).map(([name, { cost }]) => [name, cost.cost] as const);
    // Clocks may count fractions of a millisecond, records do not.
    const issuedAtMs = Math.floor(this.#wallMs);
    return { neighbours: new Map(links), relay: this.#relay, draining: this.#draining, issuedAtMs };
  }

  /** Local knowledge counts at once, before others have heard of it. */
  #localChange(): void {
    this.#own.handleChange(this.#nowMs);
    this.#graphChanged();
  }

  #graphChanged(): void {
    this.#graph = undefined;
    this.#paths.clear();
    this.#changed = true;
  }

  #drop(origin: string, reason: string): void {
    this.counters.add(reason);
    this.#store.remove(origin);
    for (const neighbour of this.#neighbours.values()) neighbour.recordNotDue(origin);
    this.#graphChanged();
  }

  #forgetNeighbour(peer: string): void {
    this.#neighbours.delete(peer);
    this.#pending.takeByPeer(peer);
  }

  #summaryHash(): string {
    const input = this.#store.summaryInput();
    if (this.#summary?.input !== input) this.#summary = { input, hash: this.#ports.hash(input).toHex() };
    return this.#summary.hash;
  }

  #raiseAlarm(code: AlarmCode, detail: string): void {
    this.counters.add(`alarm-${code.toLowerCase().replaceAll('_', '-')}`);
    if (this.#alarms.length < MAX_ALARMS) this.#alarms.push({ kind: 'alarm', code, detail });
  }

  #advance(nowMs: number, wallMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    this.#wallMs = wallMs;
    this.#turns = undefined;
  }
}
