import type { NodeOutput } from '#mesh/node/output.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { LocalStream } from '#mesh/node/tunnel.ts';
import type { NodeProcess, StreamHandler } from '../host/node-process.ts';
import { serviceOf } from '../world/mesh-plan.ts';
import type { World } from '../world/world.ts';
import { AppEnd, type AppEndWatcher, moveCount } from './app-end.ts';
import type { StreamPlan } from './stream-plan.ts';

/** A client that was refused asks again after this. */
const AGAIN_MS = 500;
/** Connecting to the target of a service. */
const CONNECT_MS = 0.5;
/** Some targets take their time, in which the way may be lost. */
const SLOW_CONNECT_SHARE = 0.15;
const SLOW_CONNECT_MS = 2_000;

/** One opened stream of a plan; where streams break, a plan needs several. */
interface Attempt {
  readonly number: number;
  readonly plan: StreamPlan;
  client: AppEnd | undefined;
  server: AppEnd | undefined;
  isAccepted: boolean;
  /** An end was killed or revoked: what becomes of the stream is not judged. */
  isEndGone: boolean;
  isAborted: boolean;
  brokenBy: string | undefined;
}

interface TrafficTotals {
  streamsWanted: number;
  streamsOpened: number;
  streamsFinished: number;
  streamsAborted: number;
  streamsBroken: number;
  streamsRefused: number;
  streamsMoved: number;
  moves: number;
  bytesChecked: number;
}

/** All application streams of a world, their two ends and what became of them. */
export class Traffic implements StreamHandler, AppEndWatcher {
  readonly attempts = new Map<number, Attempt>();
  readonly unfinished = new Set<StreamPlan>();
  readonly brokenCodes = new Map<string, number>();
  readonly totals: TrafficTotals = {
    streamsWanted: 0,
    streamsOpened: 0,
    streamsFinished: 0,
    streamsAborted: 0,
    streamsBroken: 0,
    streamsRefused: 0,
    streamsMoved: 0,
    moves: 0,
    bytesChecked: 0,
  };
  lastProgressMs = 0;
  readonly #world: World;
  readonly #ends = new Map<LocalStream, AppEnd>();
  /** Conduits for which a target was connected, by process. */
  readonly #dialled = new Set<string>();
  #nextNumber = 1;

  constructor(world: World) {
    this.#world = world;
  }

  want(plan: StreamPlan): void {
    this.totals.streamsWanted++;
    this.unfinished.add(plan);
    this.#world.timeline.at(plan.startMs, () => this.#open(plan));
  }

  handle(process: NodeProcess, output: NodeOutput & { readonly stream: LocalStream }): void {
    const end = this.#ends.get(output.stream);
    switch (output.kind) {
      case 'incoming':
        return this.#handleIncoming(process, output.stream);
      case 'accepted':
        return end === undefined ? undefined : this.#handleAccepted(end);
      case 'refused':
        return end === undefined ? undefined : this.#handleRefused(end, output.reason.code);
      case 'data':
        return end?.handleData(output.bytes);
      case 'end':
        return end?.handleEnd();
      case 'reset':
        return end === undefined ? undefined : this.#handleReset(end, output.reason.code);
      case 'writable':
        return end?.pump();
      default:
        return;
    }
  }

  /** A process was killed: the streams that ended there are not judged any more. */
  handleProcessEnded(process: NodeProcess): void {
    // Its client is gone with it. One that is to start later finds the next process.
    for (const plan of this.unfinished)
      if (plan.from === process.name && plan.startMs <= this.#world.nowMs) this.unfinished.delete(plan);
    for (const attempt of this.attempts.values()) {
      for (const end of [attempt.client, attempt.server]) {
        if (end?.process !== process) continue;
        end.isClosed = true;
        this.#ends.delete(end.local);
        if (!this.#isOver(attempt)) attempt.isEndGone = true;
      }
      if (attempt.server === undefined && attempt.plan.to === process.name) attempt.isEndGone = true;
    }
  }

  /** A node left for good. */
  handleEndGone(name: string): void {
    for (const plan of this.unfinished) if (plan.from === name || plan.to === name) this.unfinished.delete(plan);
    for (const attempt of this.attempts.values())
      if (attempt.plan.from === name || attempt.plan.to === name) attempt.isEndGone = true;
  }

  handleIdentified(end: AppEnd, number: number): void {
    const attempt = this.attempts.get(number);
    if (attempt === undefined) return this.report(end, 'BYTES_WRONG', `stream ${number} was never opened`);
    if (attempt.server !== undefined && attempt.server !== end)
      return this.report(end, 'STREAM_DOUBLED', `stream ${number} arrived twice`);
    if (attempt.plan.to !== end.process.name)
      return this.report(end, 'STREAM_MISLED', `stream ${number} arrived at ${end.process.name}`);
    attempt.server = end;
    end.begin(number, attempt.plan);
  }

  handleProgress(_end: AppEnd, bytes: number): void {
    this.totals.bytesChecked += bytes;
    this.lastProgressMs = this.#world.nowMs;
  }

  handleDone(end: AppEnd): void {
    const attempt = end.stream === undefined ? undefined : this.attempts.get(end.stream);
    if (attempt === undefined) return;
    if (end.isAborted) {
      attempt.isAborted = true;
      this.totals.streamsAborted++;
      this.unfinished.delete(attempt.plan);
      this.#forget(attempt.client);
      return;
    }
    if (!this.#isOver(attempt)) return;
    this.totals.streamsFinished++;
    this.unfinished.delete(attempt.plan);
    this.#world.trace.note('stream-done', attempt.plan.from, attempt.plan.to, '', attempt.number);
    this.#forget(attempt.client);
    this.#forget(attempt.server);
  }

  report(end: AppEnd, code: string, detail: string): void {
    const attempt = end.stream === undefined ? undefined : this.attempts.get(end.stream);
    const names = attempt === undefined ? [end.process.name] : [attempt.plan.from, attempt.plan.to];
    const where = `stream ${end.stream ?? '?'} (${names.join(' → ')}) read at ${end.process.name}`;
    this.#world.report(code, `${where}: ${detail}`, [...names, ...end.local.hops]);
  }

  /** Which stream a node's local stream is, if it is a known one that is not over. */
  numberOf(local: LocalStream): number | undefined {
    return this.#ends.get(local)?.stream;
  }

  /** Streams whose client gave up while their server still waits. */
  lingering(): readonly Attempt[] {
    return [...this.attempts.values()].filter(
      ({ isAborted, isEndGone, server }) => isAborted && !isEndGone && server !== undefined && !server.isClosed,
    );
  }

  #isOver({ client, server }: Attempt): boolean {
    return client?.isClosed === true && server?.isClosed === true && client.hasEnded && server.hasEnded;
  }

  #open(plan: StreamPlan): void {
    if (!this.unfinished.has(plan)) return;
    const process = this.#world.machine(plan.from).process;
    if (process === undefined || process.isDead) return this.#again(plan);
    process.enqueue(0.05, () => {
      const attempt: Attempt = {
        number: this.#nextNumber++,
        plan,
        client: undefined,
        server: undefined,
        isAccepted: false,
        isEndGone: false,
        isAborted: false,
        brokenBy: undefined,
      };
      this.attempts.set(attempt.number, attempt);
      this.#world.trace.note('open', plan.from, plan.to, '', attempt.number);
      const local = process.node.streams.open(serviceOf(plan.to), process.nowMs);
      attempt.client = new AppEnd(process, local, 'up', this);
      attempt.client.stream = attempt.number;
      this.#ends.set(local, attempt.client);
    });
  }

  #again(plan: StreamPlan): void {
    this.#world.timeline.after(AGAIN_MS, () => this.#open(plan));
  }

  #handleIncoming(process: NodeProcess, local: LocalStream): void {
    const end = new AppEnd(process, local, 'down', this);
    this.#ends.set(local, end);
    if (local instanceof ConduitHandle) {
      const key = `${process.name} ${process.incarnation} ${local.peer} ${local.conduit.id}`;
      if (this.#dialled.has(key)) this.report(end, 'STREAM_DOUBLED', 'its target was dialled twice');
      this.#dialled.add(key);
    }
    const { random } = this.#world;
    const isSlow = random.fraction() < SLOW_CONNECT_SHARE;
    this.#world.timeline.after(isSlow ? SLOW_CONNECT_MS * random.fraction() : CONNECT_MS, () =>
      process.enqueue(0.05, () => {
        if (local.state !== 'closed') process.node.streams.accept(local);
      }),
    );
  }

  #handleAccepted(end: AppEnd): void {
    const attempt = this.attempts.get(end.stream ?? 0);
    if (attempt === undefined) return;
    attempt.isAccepted = true;
    this.totals.streamsOpened++;
    this.#world.trace.note('accepted', attempt.plan.from, attempt.plan.to, '', attempt.number);
    end.begin(attempt.number, attempt.plan);
  }

  #handleRefused(end: AppEnd, code: string): void {
    const attempt = this.attempts.get(end.stream ?? 0);
    end.isClosed = true;
    this.#ends.delete(end.local);
    if (attempt === undefined) return;
    this.totals.streamsRefused++;
    this.#world.trace.note('refused', attempt.plan.from, attempt.plan.to, code, attempt.number);
    this.#again(attempt.plan);
  }

  #handleReset(end: AppEnd, code: string): void {
    end.isClosed = true;
    this.#ends.delete(end.local);
    const attempt = end.stream === undefined ? undefined : this.attempts.get(end.stream);
    this.#world.trace.note('reset', end.process.name, '', code, end.stream ?? 0);
    if (attempt === undefined || attempt.isAborted) return;
    const isFirst = attempt.brokenBy === undefined;
    attempt.brokenBy ??= code;
    if (!isFirst) return;
    if (!attempt.isEndGone) this.#handleBroken(end, attempt, code);
    if (this.unfinished.has(attempt.plan)) this.#again(attempt.plan);
  }

  #handleBroken(end: AppEnd, attempt: Attempt, code: string): void {
    this.totals.streamsBroken++;
    this.brokenCodes.set(code, (this.brokenCodes.get(code) ?? 0) + 1);
    if (attempt.isAccepted) this.report(end, 'STREAM_BROKEN', `${code}, although both ends stayed up`);
  }

  #forget(end: AppEnd | undefined): void {
    if (end === undefined) return;
    this.#ends.delete(end.local);
    const moves = moveCount(end.local);
    this.totals.moves += end.writes === 'up' ? moves : 0;
    this.totals.streamsMoved += end.writes === 'up' && moves > 0 ? 1 : 0;
  }
}
